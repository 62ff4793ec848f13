"""Batches: which files a folder stands for, exit codes, and heatmaps that cannot be written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cxr_edge import Classifier, Result
from cxr_edge.batch import HeatmapWriter, exit_code_of, listed_inputs
from cxr_edge.errors import OutputError, UsageError
from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.result import Failure


@pytest.fixture(scope="module")
def result(tiny_bundle: Path) -> Result:
    with Classifier.open(tiny_bundle) as classifier:
        return classifier.classify(phantom(PhantomSpec(height=256, width=256)))


def test_a_folder_stands_for_its_image_files_in_order_of_name(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    for name in ("b.png", "a.dcm", "notes.txt", "study/IM0001", "study/c.JPG"):
        (tmp_path / name).write_bytes(b"x")
    found = [path.relative_to(tmp_path).as_posix() for path in listed_inputs([tmp_path])]
    assert found == ["a.dcm", "b.png", "study/IM0001", "study/c.JPG"]


def test_a_named_file_is_listed_whatever_its_name(tmp_path: Path) -> None:
    assert listed_inputs([tmp_path / "scan.xyz"]) == [tmp_path / "scan.xyz"]


def test_a_folder_without_images_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no PNG, JPEG or DICOM"):
        listed_inputs([tmp_path])


@pytest.mark.parametrize(
    ("statuses", "code"),
    [(["ok"], 0), (["ok", "ok"], 0), (["refused"], 5), (["error"], 4), (["ok", "refused"], 10), (["error", "ok"], 10)],
)
def test_exit_codes_sum_a_batch_up(result: Result, statuses: list[str], code: int) -> None:
    failure = Failure("unsupported", 4, "message")
    results = [replace(result, status=s, failure=failure if s == "error" else None) for s in statuses]  # type: ignore[arg-type]
    assert exit_code_of(results) == code


def test_a_heatmap_that_cannot_be_written_makes_the_item_an_error_without_probability(
    result: Result, tmp_path: Path
) -> None:
    writer = HeatmapWriter(tmp_path / "heatmaps")
    (tmp_path / "heatmaps").rmdir()
    failed, path = writer.write(result)
    assert path is None and failed.status == "error" and failed.probability is None
    assert failed.failure is not None and failed.failure.exit_code == OutputError.exit_code


def test_a_result_that_is_not_ok_gets_no_picture(result: Result, tmp_path: Path) -> None:
    writer = HeatmapWriter(tmp_path / "heatmaps")
    refused = replace(result, status="refused", evidence=None)
    assert writer.write(refused) == (refused, None)
    assert list((tmp_path / "heatmaps").iterdir()) == []
