"""Batches: which files a folder stands for, exit codes, and heatmaps that cannot be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr_edge import Classifier, Result
from cxr_edge.batch import HeatmapWriter, exit_code_of, listed_inputs
from cxr_edge.errors import CorruptInputError, OutputError, UsageError
from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.result import Failure


@pytest.fixture(scope="module")
def result(tiny_bundle: Path) -> Result:
    with Classifier.open(tiny_bundle) as classifier:
        return classifier.classify(phantom(PhantomSpec(height=256, width=256)))


def test_a_folder_stands_for_its_image_files_in_order_of_name(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    for name in ("b.png", "a.dcm", "study/c.JPG"):  # damaged, but their names promise images
        (tmp_path / name).write_bytes(b"x")
    for name in ("1.2.840.113619.2.55", "study/IM0001", "DICOMDIR", ".hidden"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    for name in ("notes.txt", "LICENSE", ".DS_Store", "._b.png", "scan.tiff"):
        (tmp_path / name).write_bytes(b"II*\0 or any text")
    found = [path.relative_to(tmp_path).as_posix() for path in listed_inputs([tmp_path])]
    assert found == ["1.2.840.113619.2.55", "a.dcm", "b.png", "study/IM0001", "study/c.JPG"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX")
def test_a_pipe_in_a_folder_is_left_out_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.png").write_bytes(b"x")
    assert listed_inputs([tmp_path]) == [tmp_path / "a.png"]


def test_a_folder_that_cannot_be_listed_is_corrupt_input_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.png").write_bytes(b"x")
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CorruptInputError, match="Permission denied"):
        listed_inputs([tmp_path])


def test_a_file_that_cannot_be_opened_is_listed_so_that_it_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "IM0001").write_bytes(b"x")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert listed_inputs([tmp_path]) == [tmp_path / "IM0001"]


def test_an_impossible_name_fails_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((300, 300), np.uint8)).save(tmp_path / "a.png")
    paths = listed_inputs([tmp_path / ("x" * 300), tmp_path / "a.png"])
    with Classifier.open(tiny_bundle, gated=False) as classifier:
        results = list(classifier.classify_many(paths))
    assert [result.status for result in results] == ["error", "ok"]
    assert results[0].failure is not None and results[0].failure.exit_code == 3


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


def test_the_picture_is_the_one_that_the_results_own_heatmap_draws(result: Result, tmp_path: Path) -> None:
    _, path = HeatmapWriter(tmp_path).write(result)
    assert path is not None
    assert result.heatmap.neutral == result.threshold
    assert np.array_equal(np.asarray(Image.open(path)), result.heatmap.overlay())


def test_long_names_are_shortened_to_what_file_systems_take_and_stay_different(result: Result, tmp_path: Path) -> None:
    writer = HeatmapWriter(tmp_path)
    names = ["x" * 251 + ".png", "x" * 251 + ".jpg", "x" * 251 + ".png", "\u80f8" * 83 + ".png"]
    written = [writer.write(replace(result, path=name))[1] for name in names]
    assert None not in written and len(set(written)) == 4
    assert all(len(os.fsencode(Path(str(path)).name)) <= 255 for path in written)
    assert {str(path) for path in tmp_path.iterdir()} == set(written)


def test_the_json_of_a_path_that_is_not_utf_8_is_utf_8(result: Result) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    written = replace(result, path=name).to_json(heatmap=f"maps/{name}")
    assert written["path"] == "caf\\udce9.png"
    assert written["heatmap"] == "maps/caf\\udce9.png"
