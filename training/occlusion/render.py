"""``python -m training.occlusion.render RECORDS.jsonl``: tables and pictures of ``docs/regions.md`` from a record.

Writes the summary that is committed, too. Given that summary instead, it makes the same page again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.errors import CxrEdgeError
from training.generated_sections import page_with_sections
from training.occlusion.figures import OcclusionSummary
from training.occlusion.pictures import draw_effects, draw_evidence, draw_parts
from training.occlusion.record import OcclusionStudy
from training.occlusion.summary import summary_of
from training.occlusion.tables import sections

__all__ = ["main", "read_summary", "render"]

DOCUMENT = Path("docs/regions.md")
FOLDER = Path("docs/regions")
SUMMARY = "summary.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or that of the error; the document is then as it was."""
    command = argparse.ArgumentParser("python -m training.occlusion.render", description=__doc__)
    command.add_argument("record", type=Path, metavar="RECORDS.jsonl", help="of the study, or the committed summary")
    command.add_argument("--document", type=Path, default=DOCUMENT, help=f"Markdown with markers ({DOCUMENT})")
    command.add_argument("--folder", type=Path, default=FOLDER, help=f"receives summary and pictures ({FOLDER})")
    options = command.parse_args(arguments)
    try:
        render(read_summary(options.record), options.document, options.folder)
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def read_summary(path: Path) -> OcclusionSummary:
    """The summary in a file, or of the record in it.

    Raises:
        DatasetError: the file is neither, or no model is on record.
    """
    return OcclusionSummary.read(path) if path.suffix == ".json" else summary_of(OcclusionStudy.read(path))


def render(summary: OcclusionSummary, document: Path, folder: Path) -> None:
    """Make tables, pictures and committed summary anew.

    Raises:
        UsageError: the document cannot be read, or lacks a marker; or matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    after = page_with_sections(document, sections(summary))
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    draw_parts(folder / "parts.png")
    draw_effects(summary.runs, folder / "effects.png")
    draw_evidence(summary.runs, folder / "evidence.png")
    summary.write(folder / SUMMARY)
    write_atomically(document, after.encode())


if __name__ == "__main__":
    raise SystemExit(main())
