from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cxr_edge.errors import DatasetError, UsageError
from export.study.picture import draw_study
from export.study.record import StudyRecord
from export.study.render import main
from export.study.tables import sections
from training.generated_sections import with_sections

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("conditions", "schemes", "options", "images", "half")


def document(names: tuple[str, ...] = NAMES) -> str:
    parts = (f"## {n}\n<!-- begin generated: {n} -->\nold {n}\n<!-- end generated: {n} -->\n" for n in names)
    return "before\n" + "".join(parts) + "after\n"


def test_only_what_stands_between_the_markers_changes(study_record: StudyRecord) -> None:
    text = with_sections(document(), sections(study_record))
    assert "old conditions" not in text
    assert (text.startswith("before\n## conditions\n"), text.endswith("-->\nafter\n")) == (True, True)
    assert with_sections(text, sections(study_record)) == text


@pytest.mark.parametrize("text", [document(NAMES[1:]), document() + document(NAMES[:1])])
def test_a_document_without_each_marker_once_is_refused(text: str, study_record: StudyRecord) -> None:
    with pytest.raises(UsageError, match="begin generated: conditions"):
        with_sections(text, sections(study_record))


def test_tables_hold_the_figures_and_the_reasons_of_what_failed(study_record: StudyRecord) -> None:
    found = sections(study_record)
    row = "| a **title** | ONNX Runtime | 0.9000 | 0.0300 | 0.0200 | 0.0100 | 2.5% | 1 | 0.9910 | 97.0% | 7.3 |"
    assert row in found["schemes"].splitlines()
    assert "| OpenVINO | failed: signal 11 / core dumped |" in found["schemes"]
    assert "ONNX Runtime, FP16 emulated" in found["half"]
    assert [line.split("|")[1].strip() for line in found["images"].splitlines()[2:]] == ["32", "64"]
    assert "8 images, 4 abnormal" in found["conditions"]


def test_every_row_has_as_many_cells_as_the_headings(study_record: StudyRecord) -> None:
    for name in NAMES[1:]:
        assert len({line.count("|") for line in sections(study_record)[name].splitlines()}) == 1


def test_a_table_without_schemes_says_so(study_record: StudyRecord) -> None:
    assert sections(replace(study_record, schemes=()))["half"] == "Not measured yet."


def test_the_document_of_the_project_has_every_marker(study_record: StudyRecord) -> None:
    with_sections((ROOT / "docs/quantization.md").read_text(encoding="utf-8"), sections(study_record))


def test_the_command_writes_document_and_picture(study_record: StudyRecord, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    record, text, picture = (tmp_path / name for name in ("record.jsonl", "page.md", "images/page.png"))
    study_record.write(record)
    text.write_text(document())
    assert main([str(record), "--document", str(text), "--picture", str(picture)]) == 0
    assert "a **title**" in text.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_document_that_cannot_be_read_is_reported_and_nothing_is_drawn(
    study_record: StudyRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, picture = tmp_path / "record.jsonl", tmp_path / "page.png"
    study_record.write(record)
    code = main([str(record), "--document", str(tmp_path / "none.md"), "--picture", str(picture)])
    assert (code, picture.exists()) == (2, False)
    assert "none.md" in capsys.readouterr().err


def test_a_record_in_which_nothing_ran_is_not_drawn(study_record: StudyRecord, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(DatasetError, match="nothing to draw"):
        draw_study(replace(study_record, schemes=study_record.schemes[1:2]), tmp_path / "x.png")
