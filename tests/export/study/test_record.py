from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cxr_edge.errors import DatasetError, UsageError
from export.study.record import StudyRecord


def test_a_record_reads_back_equal(study_record: StudyRecord, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    study_record.write(path)
    assert StudyRecord.read(path) == study_record
    assert len(path.read_text().splitlines()) == 1 + len(study_record.schemes)


def test_a_study_goes_on_with_its_own_record_only(study_record: StudyRecord, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    assert StudyRecord.resumed(path, study_record.header).schemes == ()
    study_record.write(path)
    assert StudyRecord.resumed(path, study_record.header) == study_record
    other = replace(study_record.header, model_sha256="c" * 64, versions={"onnxruntime": "2"})
    with pytest.raises(UsageError, match=r"another study \(other model_sha256, versions\)"):
        StudyRecord.resumed(path, other)


@pytest.mark.parametrize("text", ["", "[]\n", '{"format": 9}\n', '{"format": 1}\n', "not json\n"])
def test_what_is_no_record_of_this_version_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"study record"):
        StudyRecord.read(path)


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no study record"):
        StudyRecord.read(tmp_path / "none.jsonl")
