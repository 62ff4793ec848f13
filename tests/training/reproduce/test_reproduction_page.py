"""The page that is made from a study: its tables, its picture, and that the committed one is what its record says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cxr_edge.errors import DatasetError
from training.generated_sections import with_sections
from training.reproduce.figures import StudySummary
from training.reproduce.record import StudyRecord
from training.reproduce.render import DOCUMENT, FOLDER, SUMMARY, main, read_summary
from training.reproduce.summary import summary_of
from training.reproduce.tables import plain_text, sections

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("conditions", "frozen", "all-layers", "gains")


def document() -> str:
    return "".join(f"<!-- begin generated: {n} -->\nold {n}\n<!-- end generated: {n} -->\n" for n in NAMES)


def test_every_cell_stands_below_the_papers_best(study_record: StudyRecord) -> None:
    found = sections(summary_of(study_record))
    rows = found["frozen"].splitlines()
    assert rows[2].startswith("| **paper, cropped** | CheXNet |")
    assert "0.8761 [0.803, 0.925] | 0.8909 [0.782, 0.949] | 0.8621 [0.751, 0.928]" in rows[2]
    assert [row.split("|")[1].strip() for row in rows[3:]] == ["full", "body"]
    assert "| 2 of 3 |" in found["all-layers"]
    assert "96x3, 160x20 (run scratch)" in found["all-layers"]
    assert len({row.count("|") for row in rows}) == 1


def test_a_gain_whose_interval_leaves_out_nothing_is_not_bold(study_record: StudyRecord) -> None:
    summary = summary_of(study_record)
    (line,) = summary.comparisons
    assert "**+" in sections(summary)["gains"]
    nothing = replace(line, auc=replace(line.auc, low=-0.01), accuracy=replace(line.accuracy, low=-0.01))
    assert "**" not in sections(replace(summary, comparisons=(nothing,)))["gains"]


def test_the_conditions_say_what_may_not_be_chosen_by_the_figures(study_record: StudyRecord) -> None:
    summary = summary_of(study_record)
    assert "without fold 0, the release fold, which no model saw" in sections(summary)["conditions"]
    every = sections(replace(summary, release_fold=None, quick=True))["conditions"]
    assert "nothing about a shipped bundle may be chosen by these figures" in every
    assert "the figures mean nothing" in every


def test_what_is_not_measured_says_so(study_record: StudyRecord) -> None:
    summary = replace(summary_of(study_record), cells=(), comparisons=())
    assert {sections(summary)[name] for name in NAMES[1:]} == {"Not measured yet."}


def test_the_command_prints_each_cell_beside_the_paper(study_record: StudyRecord) -> None:
    text = plain_text(study_record)
    assert "paper, cropped input" in text
    assert all(line.cell in text for line in study_record.predictions)


def test_record_and_summary_make_the_same_page(study_record: StudyRecord, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    record, page, folder = tmp_path / "records.jsonl", tmp_path / "page.md", tmp_path / "paper"
    study_record.write(record)
    assert StudyRecord.read(record) == study_record
    page.write_text(document())
    options = ["--document", str(page), "--folder", str(folder)]
    assert main([str(record), *options]) == 0
    first, picture = page.read_text(), (folder / "cells.png").read_bytes()
    assert "old conditions" not in first
    assert picture.startswith(b"\x89PNG")
    assert main([str(folder / SUMMARY), *options]) == 0
    assert (page.read_text(), (folder / "cells.png").read_bytes()) == (first, picture)


def test_what_is_committed_tells_nothing_of_single_images(study_record: StudyRecord, tmp_path: Path) -> None:
    summary_of(study_record).write(tmp_path / SUMMARY)
    text = (tmp_path / SUMMARY).read_text()
    assert not any(word in text for word in ("logits", "held_out", '"labels":', '"patients": ['))
    assert StudySummary.read(tmp_path / SUMMARY) == summary_of(study_record)


def test_what_cannot_be_read_or_written_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.jsonl")]) == DatasetError.exit_code
    assert "cannot be read as a record of a reproduction" in capsys.readouterr().err


def test_the_committed_page_is_what_the_committed_figures_say() -> None:
    page = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    assert with_sections(page, sections(read_summary(ROOT / FOLDER / SUMMARY))) == page
