"""``python -m benchmarks.native_engine_page [RECORD...]``: publish records, write the page's section of all of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.native_engine_page.page import section_text, with_section
from benchmarks.native_engine_page.picture import roofline_picture
from benchmarks.native_engine_page.record import EngineRecord, Line, line_text, read_engine_record
from benchmarks.performance_page.published import MAX_BYTES, published
from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.bench.record import record_lines
from cxr_edge.errors import CxrEdgeError, OutputError, UsageError

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTION = """
Shorten each RECORD into the folder of published ones, under its own file name, and write the generated section of the
page and its pictures from every record there. Without a RECORD the section is made again from what is published.
"""


def main() -> int:
    """Make the section; the exit code is the library's."""
    made = argparse.ArgumentParser("python -m benchmarks.native_engine_page", description=DESCRIPTION)
    made.add_argument("record", nargs="*", type=Path, metavar="RECORD", help="of ...native_engine_page.measure")
    made.add_argument("--published", type=Path, default=ROOT / "benchmarks/records/native-engine", metavar="DIR")
    made.add_argument("--page", type=Path, default=ROOT / "docs/native-engine.md", metavar="FILE")
    options = made.parse_args()
    try:
        for path in options.record:
            publish(path, options.published)
        make_section(options.published, options.page)
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def publish(path: Path, folder: Path) -> None:
    """Write the record's short form into the folder: rounds pooled, repetitions as quantiles.

    Raises:
        CorruptInputError, UnsupportedInputError: no record, or one of another schema.
        OutputError: it cannot be written, or is too large for a repository.
    """
    record = read_engine_record(path)
    own: tuple[Line, ...] = (*record.layers, *record.openings, *([record.library] if record.library else []))
    text = record_lines(published(record.bench, path.name)) + "".join(map(line_text, own))
    if len(text) > MAX_BYTES:
        raise OutputError(f"{path.name} has {len(text)} bytes when shortened, {MAX_BYTES} at most belong into git")
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / path.name, text.encode())


def make_section(folder: Path, page: Path) -> None:
    """Write the page's section and its pictures from every record in the folder.

    Raises:
        UsageError: there is no record, no place for the section, or matplotlib is not installed.
        OutputError: something cannot be written.
    """
    records = [read_engine_record(path) for path in sorted(folder.glob("*.jsonl"))]
    if not records:
        raise UsageError(f"no record in {folder}: make one with python -m benchmarks.native_engine_page.measure")
    pictures = page.with_suffix("")
    with output_errors(pictures):
        pictures.mkdir(parents=True, exist_ok=True)
    parts = [(record, draw(record, pictures)) for record in records]
    text = with_section(page.read_text(encoding="utf-8"), section_text(parts))
    write_atomically(page, text.encode())


def draw(record: EngineRecord, folder: Path) -> str | None:
    """The record's picture, as a path from the page; None where the processor's peak is unknown."""
    layers = [one for one in record.layers if one.vnni_peak_gmac_per_s > 0]
    if not layers:
        return None
    path = folder / f"{Path(record.bench.name).stem}.png"
    roofline_picture(layers, path, f"Share of the INT8 peak · {record.bench.machine.cpu}")
    return f"{folder.name}/{path.name}"


if __name__ == "__main__":
    sys.exit(main())
