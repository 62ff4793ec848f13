"""``python -m training.reproduce.render DIR/records.jsonl``: tables and picture of ``docs/paper.md`` from a study.

Writes the summary that is committed, too. Given that summary instead, it makes the same page again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.errors import CxrEdgeError
from training.generated_sections import page_with_sections
from training.reproduce.figures import KIND, StudySummary
from training.reproduce.picture import draw_cells
from training.reproduce.record import StudyRecord
from training.reproduce.summary import summary_of
from training.reproduce.tables import sections

__all__ = ["main", "read_summary", "render"]

DOCUMENT = Path("docs/paper.md")
FOLDER = Path("docs/paper")
SUMMARY, PICTURE = "records.jsonl", "cells.png"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or that of the error; the document is then as it was."""
    command = argparse.ArgumentParser("python -m training.reproduce.render", description=__doc__)
    command.add_argument("record", type=Path, metavar="RECORDS.jsonl", help="of a study, or the committed summary")
    command.add_argument("--document", type=Path, default=DOCUMENT, help=f"Markdown with markers ({DOCUMENT})")
    command.add_argument("--folder", type=Path, default=FOLDER, help=f"receives summary and picture ({FOLDER})")
    options = command.parse_args(arguments)
    try:
        render(read_summary(options.record), options.document, options.folder)
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def read_summary(path: Path) -> StudySummary:
    """The summary in a file, or of the record in it.

    Raises:
        DatasetError: the file is neither, or the record has too little in it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            is_summary = json.loads(file.readline()).get("kind") == KIND
    except (OSError, ValueError, AttributeError):
        is_summary = False  # what is wrong with the file is said by the reader of records
    return StudySummary.read(path) if is_summary else summary_of(StudyRecord.read(path))


def render(summary: StudySummary, document: Path, folder: Path) -> None:
    """Make tables, picture and committed summary anew.

    Raises:
        UsageError: the document cannot be read, or lacks a marker; or matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    after = page_with_sections(document, sections(summary))
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    draw_cells(summary, folder / PICTURE)
    summary.write(folder / SUMMARY)
    write_atomically(document, after.encode())


if __name__ == "__main__":
    raise SystemExit(main())
