"""``python -m benchmarks.performance_page [RECORD...]``: publish records, make the page of all that are published."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.performance_page.page import page_text
from benchmarks.performance_page.published import MAX_BYTES, published
from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.pictures import latency_picture, stage_picture
from cxr_edge.bench.record import Record, read_record, record_lines
from cxr_edge.errors import CxrEdgeError, OutputError, UsageError

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTION = """
Shorten each RECORD into the folder of published records, under its own file name, and make the page and its pictures
from every record there. Without a RECORD the page is made again from what is published.
"""


def main() -> int:
    """Make the page; the exit code is the library's."""
    made = argparse.ArgumentParser("python -m benchmarks.performance_page", description=DESCRIPTION)
    made.add_argument("record", nargs="*", type=Path, metavar="RECORD", help="of python -m benchmarks.peers")
    made.add_argument("--published", type=Path, default=ROOT / "benchmarks/records", metavar="DIR")
    made.add_argument("--page", type=Path, default=ROOT / "docs/performance.md", metavar="FILE")
    options = made.parse_args()
    try:
        for path in options.record:
            publish(path, options.published)
        make_page(options.published, options.page)
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def publish(path: Path, folder: Path) -> None:
    """Write the record's short form into the folder.

    Raises:
        CorruptInputError, UnsupportedInputError: no record, or one of another schema.
        OutputError: it cannot be written, or is too large for a repository.
    """
    if path.resolve().parent == folder.resolve():
        return  # it is published already
    text = record_lines(published(read_record(path), path.name))
    if len(text) > MAX_BYTES:
        raise OutputError(f"{path.name} has {len(text)} bytes when shortened, {MAX_BYTES} at most belong into git")
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / path.name, text.encode())


def make_page(folder: Path, page: Path) -> None:
    """Write the page and its pictures from every record in the folder.

    Raises:
        UsageError: there is none, or matplotlib is not installed.
        OutputError: something cannot be written.
    """
    records = [read_record(path) for path in sorted(folder.glob("*.jsonl"))]
    if not records:
        raise UsageError(f"no record in {folder}: give one made by python -m benchmarks.peers")
    pictures = page.with_suffix("")
    with output_errors(pictures):
        pictures.mkdir(parents=True, exist_ok=True)
    parts = [(record, draw(record, pictures)) for record in records]
    write_atomically(page, page_text(parts).encode())


def draw(record: Record, folder: Path) -> list[str]:
    """The record's pictures; their paths from the page."""
    stem = Path(record.name).stem

    def of(stage: str) -> list[Measurement]:
        chosen = [one for one in record.measurements if one.cell.stage == stage]
        return sorted(chosen, key=lambda one: one.summary.p50_ms)

    drawings: Sequence[tuple[str, Callable[[Sequence[Measurement], Path, str], None], list[Measurement], str]] = (
        ("end-to-end", latency_picture, of("end-to-end"), "End to end"),
        ("stages", stage_picture, [one for one in of("end-to-end") if one.stages_ms], "Where the time goes"),
        ("infer", latency_picture, of("infer"), "The network alone"),
        ("preprocess", latency_picture, of("preprocess"), "Stored frame to network input"),
    )
    names = []
    for name, picture, measurements, title in drawings:
        if measurements:
            path = folder / f"{stem}-{name}.png"
            picture(measurements, path, f"{title} · {record.machine.cpu}")
            names.append(f"{folder.name}/{path.name}")
    return names


if __name__ == "__main__":
    sys.exit(main())
