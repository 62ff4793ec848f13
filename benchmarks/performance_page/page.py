"""The page's text: machine, targets, pictures, tables, and what was not measured."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.performance_page.figures import Figure, Figures
from benchmarks.performance_page.targets import Target, targets
from cxr_edge.bench.environment import Machine
from cxr_edge.bench.grid import OWN, STAGES, TENSOR
from cxr_edge.bench.record import Record
from cxr_edge.bench.table import significant

__all__ = ["page_text"]

INTRODUCTION = """# Performance

<!-- Made by `python -m benchmarks.performance_page`; change the command, not this page. -->

Every figure here comes from a record in [benchmarks/records](../benchmarks/records); the column "line" is the line of
the record's file. Figures of one record were measured in one run on one machine and may be compared; figures of two
machines may not.

To make a record: `python -m benchmarks.peers -o RECORD` in a checkout with the extras `workstation`, `test` and
`openvino` (and `pip install nncf`); then `python -m benchmarks.performance_page RECORD`. On a device without a checkout
`cxr-edge bench` measures this library alone.

How it is measured: each cell in a process of its own; warm-up runs first; wall time of every repetition by a
monotonic clock. The frame is a 16-bit phantom in memory, files lie in the page cache. p50 is the median; p90 and p99
are repetitions that really happened, with fewer than 100 of them p99 is the slowest. A megabyte is 2^20 bytes; RSS is
the process's own after the last repetition, that of the codec process is in the record (`children_rss_mb`). Load is
from opening the verified bundle's model until inference runs like all later ones. PyTorch peers run DenseNet-121 with
random weights, which take the same time; peers named "plain script" run the shipped FP32 model with the runtime's own
settings, which for OpenVINO means BF16 where the CPU has it.
"""

STAGE_TITLES = {
    "import": "`import cxr_edge` in a fresh process",
    "one-shot": "One file, from starting a process to its end",
    "decode": "Decoding a file to stored pixels",
    "preprocess": "Preprocessing: stored frame to network input",
    "infer": "The network alone",
    "end-to-end": "End to end: frame or file to decision, warm process",
    "folder": "Folder: 8 files with decoding overlapped (times are of all 8)",
}
TARGET_FRAME = "3000x3000x16"
TELLING_FLAGS = re.compile(r"^(avx|amx|sse4|fma$|asimd|i8mm$|bf16$|sve)")


def page_text(records: Sequence[tuple[Record, Sequence[str]]]) -> str:
    """The page.

    Args:
        records: published records, each with its pictures' paths relative to the page.
    """
    return "\n".join([INTRODUCTION, *(record_text(record, pictures) for record, pictures in records)])


def record_text(record: Record, pictures: Sequence[str]) -> str:
    """One record's part of the page."""
    figures = Figures(record)
    parts = [
        f"## {record.machine.cpu}, {record.machine.usable_cores} cores\n",
        f"Record: [{record.name}](../benchmarks/records/{record.name})\n",
        machine_text(record.machine, record),
        "### Targets\n",
        target_text(figures),
        *(f"![{name}]({name})\n" for name in pictures),
    ]
    for stage in STAGES:
        shown = [figure for figure in figures.all if figure.of.cell.stage == stage]
        if shown:
            parts += [f"### {STAGE_TITLES[stage]}\n", figure_table(shown)]
    if record.skipped:
        parts += ["### Not measured\n", *(f"- {gap.what}: {gap.reason}" for gap in record.skipped), ""]
    return "\n".join(parts)


def machine_text(machine: Machine, record: Record) -> str:
    """The machine as a list, by CPU model and flags; a record holds no host name."""
    flags = " ".join(flag for flag in machine.flags if TELLING_FLAGS.match(flag))
    memory = f", {machine.memory_mb:,} MB" if machine.memory_mb else ""
    loads = [one.load_average for one in record.measurements if one.load_average is not None]
    untold = sorted({name for one in record.measurements for name in one.sensors.unavailable})
    lines = [
        f"- {machine.system}{memory}, {machine.usable_cores} of {machine.cores} cores, governor "
        f"{machine.governor or 'unknown'}; {flags or 'no flags told'}",
        f"- cxr-edge commit {machine.commit or 'unknown'}, bundle {machine.bundle}, "
        f"preprocessing {machine.preprocessing}",
        f"- Python {machine.python}, " + ", ".join(f"{name} {version}" for name, version in machine.versions.items()),
    ]
    if loads:
        lines.append(f"- load average before the cells: {min(loads):.1f} to {max(loads):.1f}")
    if untold:
        lines.append(f"- not told by this platform: {', '.join(untold)}")
    return "\n".join(lines) + "\n"


def target_text(figures: Figures) -> str:
    """The table of targets, or why the record says nothing of them."""
    frames = sorted({figure.of.cell.frame for figure in figures.all if figure.of.cell.frame})
    if TARGET_FRAME not in frames:
        shown = ", ".join(frames) or "none"
        return f"The targets are set for a frame of {TARGET_FRAME}; this record has {shown}.\n"
    return target_table(targets(figures))


def target_table(rows: Sequence[Target]) -> str:
    """Target, what was reached, and whether it is met; a target without its figures is not measured."""
    verdicts = {True: "met", False: "**not met**", None: "not measured"}
    cells = [(row.what, row.aim, row.reached or "", verdicts[row.met], ", ".join(map(str, row.lines))) for row in rows]
    return markdown(("target", "aim", "reached", "", "lines"), cells)


def figure_table(figures: Sequence[Figure]) -> str:
    """One row a cell, the fastest first within each input."""
    order = {figure.of.cell.input: number for number, figure in reversed(list(enumerate(figures)))}
    rows = sorted(figures, key=lambda figure: (order[figure.of.cell.input], figure.p50))
    head = ("way", "input", "threads", "p50 ms", "p90", "p99", "max", "images/s", "load ms", "RSS MB", "n", "line")
    return markdown(head, [row_of(figure) for figure in rows])


def row_of(figure: Figure) -> tuple[str, ...]:
    """A figure's cells."""
    one, cell = figure.of, figure.of.cell
    model = " ".join(filter(None, (cell.engine, cell.precision)))
    way = " · ".join(filter(None, ("**cxr-edge**" if cell.way == OWN else cell.way, model)))
    source = "" if cell.input in (None, TENSOR) else f"{cell.input} {cell.frame}"
    summary = one.summary
    numbers = (summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.max_ms, one.throughput, one.load_ms)
    return (
        way,
        source,
        str(cell.threads),
        *map(significant, (*numbers, one.memory.rss_mb)),
        str(summary.n),
        str(figure.line),
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; a bar within a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
