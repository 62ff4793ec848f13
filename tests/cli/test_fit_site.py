"""``cxr-edge fit-site``: what it prints, where it writes, and its exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from parity_case import FEW_IMAGES, ParityCase, parity_case, write_parity_bundle
from typer.testing import CliRunner, Result

import cxr_edge.cli.fit_site  # noqa: F401 - registers the command
import cxr_edge.cli.info  # noqa: F401 - with one command alone typer would leave its name out
from cxr_edge.bundle import open_bundle
from cxr_edge.cli.application import app


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> ParityCase:
    return parity_case(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def parent(case: ParityCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lenient = replace(FEW_IMAGES, auc_margin=0.2, flip_share=0.05)
    return write_parity_bundle(tmp_path_factory.mktemp("parent") / "bundle", case, tolerances=lenient)


@pytest.fixture
def no_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*arguments: Any, **options: Any) -> None:
        pytest.fail("the images were about to be classified")

    monkeypatch.setattr("export.site.fit_bundle.measure_site", measured)


def fit_site(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["fit-site", *(str(argument) for argument in arguments)])


def test_figures_stand_before_and_after_and_the_report_has_pictures(
    case: ParityCase, parent: Path, tmp_path: Path
) -> None:
    result = fit_site(
        *("--bundle", parent, "--data", case.labels, "-o", tmp_path / "site", "--site", "north"),
        *("--operating-point", "sensitivity=0.8", "--report", tmp_path / "report", "--threads", "1"),
    )
    assert result.exit_code == 0, result.stderr
    assert "before: balanced" in result.stdout
    assert "after: sensitivity-0.8" in result.stdout
    assert "calibration intercept" in result.stdout
    assert "NOT RELEASED: its parent is not released" in result.stdout
    assert open_bundle(tmp_path / "site").manifest.default_operating_point == "sensitivity-0.8"
    written = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert written == ["figures.txt", "reliability-after.png", "reliability-before.png"]
    assert (tmp_path / "report" / "reliability-after.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "report" / "figures.txt").read_text().splitlines()[0] in result.stdout


def test_json_is_one_object_with_figures_and_version(case: ParityCase, parent: Path, tmp_path: Path) -> None:
    result = fit_site("--bundle", parent, "--data", case.labels, "-o", tmp_path / "site", "--site", "x", "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["version"] == "1+site.x"
    assert record["before"]["temperature"] == 1.5
    assert {point["name"] for point in record["after_cross_fitted"]["operating_points"]} == {
        "youden",
        "sensitivity-0.95",
        "specificity-0.95",
    }


def test_an_unreadable_image_is_named_and_makes_the_exit_code_10(
    case: ParityCase, parent: Path, tmp_path: Path
) -> None:
    broken = case.labels.parent / "broken.png"
    broken.write_bytes(b"no image")
    labels = case.labels.parent / "with-broken.csv"
    labels.write_text(case.labels.read_text() + "broken.png,1,p99,0\n")
    result = fit_site("--bundle", parent, "--data", labels, "-o", tmp_path / "site", "--site", "x")
    assert result.exit_code == 10
    assert "not read: parity-case/broken.png: " in result.stderr
    assert open_bundle(tmp_path / "site").manifest.evidence["site"]["fitted_on"]["failed"] == 1


@pytest.mark.usefixtures("no_inference")
@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--operating-point", "best"], 2, "neither youden nor sensitivity=TARGET"),
        (["--operating-point", "youden", "--operating-point", "youden"], 2, "none of them twice"),
        (["--where", "hospital=north"], 2, "no column 'hospital'"),
        (["--where", "half=0"], 3, "at least 20 of each"),
        (["--site", "north wing"], 2, "letters, digits"),
    ],
)
def test_a_bad_request_is_found_before_inference(
    case: ParityCase, parent: Path, tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    result = fit_site("--bundle", parent, "--data", case.labels, "-o", tmp_path / "site", *options)
    assert result.exit_code == code
    assert message in result.stderr
    assert not (tmp_path / "site").exists()


@pytest.mark.usefixtures("no_inference")
def test_an_existing_output_is_found_before_inference(case: ParityCase, parent: Path, tmp_path: Path) -> None:
    result = fit_site("--bundle", parent, "--data", case.labels, "-o", tmp_path)
    assert result.exit_code == 9


@pytest.mark.usefixtures("no_inference")
def test_a_missing_matplotlib_is_found_before_inference(
    case: ParityCase, parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxr_edge.cli.evaluate.find_spec", lambda name: None)
    options = ("--bundle", parent, "--data", case.labels, "-o", tmp_path / "site", "--report", tmp_path / "report")
    result = fit_site(*options)
    assert result.exit_code == 2
    assert "cxr-edge[workstation]" in result.stderr


def test_without_the_checkout_the_command_says_what_it_needs(
    case: ParityCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

    monkeypatch.setattr("cxr_edge.cli.workstation.import_module", missing)
    result = fit_site("--data", case.labels, "-o", tmp_path / "site")
    assert result.exit_code == 2
    assert "needs the source checkout" in result.stderr
