from __future__ import annotations

import json
from pathlib import Path

import pytest
from parity_case import ParityCase, parity_case, with_initializer, write_parity_bundle
from typer.testing import CliRunner, Result

from cxr_edge.cli import parity as _command  # noqa: F401  (registers the command)
from cxr_edge.cli.application import app
from cxr_edge.data_use import SEEN_STAMP, DataUse, footprint
from cxr_edge.labels import read_labels


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ParityCase:
    return parity_case(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def bundle(case: ParityCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parity_bundle(tmp_path_factory.mktemp("cli") / "good", case)


def parity(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["parity", *map(str, arguments), "--threads", "1"])


def test_every_limit_holding_is_exit_code_0_with_a_table(bundle: Path, case: ParityCase) -> None:
    result = parity(bundle, "--data", case.labels)
    assert result.exit_code == 0
    assert "every limit holds" in result.stdout
    assert "onnxruntime int8" in result.stdout


def test_a_broken_limit_is_exit_code_11_and_the_report_is_written_all_the_same(
    case: ParityCase, tmp_path: Path
) -> None:
    broken = write_parity_bundle(tmp_path / "b", case, with_initializer(case.int8, "stem.scale", 4.0))
    result = parity(broken, "--data", case.labels, "--report", tmp_path / "report.html")
    assert result.exit_code == 11
    assert "BROKEN: largest |Δp|" in result.stdout
    assert (tmp_path / "report.html").read_bytes().startswith(b"<!doctype html>")


def test_json_is_one_object_in_one_line(bundle: Path, case: ParityCase) -> None:
    result = parity(bundle, "--data", case.labels, "--where", "half=0", "--json")
    record = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert record["compared"] == 24
    assert record["data"][0]["where"] == ["half=0"]


def test_data_may_be_given_several_times_each_with_its_filter(bundle: Path, case: ParityCase) -> None:
    result = parity(bundle, "--data", f"{case.labels}@half=0", "--data", f"{case.labels}@half=1", "--json")
    assert [source["images"] for source in json.loads(result.stdout)["data"]] == [24, 24]


def test_seen_images_are_exit_code_11_unless_allowed_and_then_stamped(case: ParityCase, tmp_path: Path) -> None:
    seen = DataUse().with_role("train", footprint(read_labels(case.labels))).to_json()
    bundle = write_parity_bundle(tmp_path / "b", case, data_use=seen)
    assert parity(bundle, "--data", case.labels).exit_code == 11
    allowed = parity(bundle, "--data", case.labels, "--allow-seen")
    assert allowed.exit_code == 0
    assert allowed.stdout.startswith(f"*** {SEEN_STAMP} ***")


def test_an_image_that_cannot_be_read_is_named_and_exit_code_10(case: ParityCase, tmp_path: Path) -> None:
    import shutil

    data = Path(shutil.copytree(case.labels.parent, tmp_path / "data"))
    (data / "images" / "3.png").write_bytes(b"torn")
    result = parity(write_parity_bundle(tmp_path / "b", case), "--data", data / "labels.csv")
    assert result.exit_code == 10
    assert "not read: data/images/3.png" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--engine", "abacus"), 2),
        (("--precision", "int4"), 2),
        (("--precision", "fp16"), 7),
        (("--precision", "fp32", "--engine", "onnxruntime"), 7),
        (("--operating-point", "keen"), 2),
        (("--where", "half=7"), 2),
        (("--report", "nowhere/report.html"), 9),
    ],
)
def test_what_cannot_be_done_has_its_exit_code(
    bundle: Path, case: ParityCase, arguments: tuple[str, ...], code: int
) -> None:
    assert parity(bundle, "--data", case.labels, *arguments).exit_code == code


def test_a_folder_that_is_no_bundle_is_exit_code_6(case: ParityCase, tmp_path: Path) -> None:
    assert parity(tmp_path, "--data", case.labels).exit_code == 6
