"""``python -m export.study.render RECORD.jsonl``: tables and picture of ``docs/quantization.md`` from a record."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.errors import CxrEdgeError
from export.study.picture import draw_study
from export.study.record import StudyRecord
from export.study.tables import sections
from training.generated_sections import page_with_sections

__all__ = ["main"]

DOCUMENT = Path("docs/quantization.md")
PICTURE = Path("docs/images/quantization.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or that of the error; the document is then as it was."""
    command = argparse.ArgumentParser("python -m export.study.render", description=__doc__)
    command.add_argument("record", type=Path, metavar="RECORD.jsonl")
    command.add_argument("--document", type=Path, default=DOCUMENT, help=f"Markdown with markers ({DOCUMENT})")
    command.add_argument("--picture", type=Path, default=PICTURE, help=f"PNG to write ({PICTURE})")
    options = command.parse_args(arguments)
    try:
        render(StudyRecord.read(options.record), options.document, options.picture)
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def render(record: StudyRecord, document: Path, picture: Path) -> None:
    """Make tables and picture anew.

    Raises:
        UsageError: the document cannot be read, or lacks a marker.
        DatasetError: nothing in the record ran.
        OutputError: a file cannot be written.
    """
    after = page_with_sections(document, sections(record))
    with output_errors(picture):
        picture.parent.mkdir(parents=True, exist_ok=True)
    draw_study(record, picture)
    write_atomically(document, after.encode())


if __name__ == "__main__":
    raise SystemExit(main())
