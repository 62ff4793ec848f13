"""A bench as tables for people; programs read ``--json``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cxr_edge.bench.compare import Comparison
from cxr_edge.bench.grid import OWN, TENSOR
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.record import SkippedCell

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["print_comparison", "print_measurements"]

PIPED_WIDTH = 220
"""Columns to use where there is no terminal to ask."""

NUMBERS = ("p50 ms", "p90", "p99", "max", "jitter", "images/s", "load ms", "cold ms", "RSS MB", "peak MB", "n")
SENSORS = {"energy_j": "J", "power_w": "W", "clock_mhz": "MHz", "temperature_c": "°C"}
STYLES = {"slower": "red", "faster": "green", "no difference": ""}


def print_measurements(measurements: Iterable[Measurement], skipped: Iterable[SkippedCell]) -> None:
    """Print a line a cell, and below the table what was skipped and why."""
    console, table = _console(), _table()
    shown = tuple(measurements)
    texts = ("stage", "model", "input", "threads")
    for name in texts:
        table.add_column(name, no_wrap=True)
    for name in NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    told = [name for name in SENSORS if any(getattr(one.sensors, name) is not None for one in shown)]
    for name in told:
        table.add_column(SENSORS[name], justify="right", no_wrap=True)
    for one in shown:
        sensed = (significant(getattr(one.sensors, name)) for name in told)
        table.add_row(*_names(one), *_figures(one), *sensed)
    if shown:
        console.print(table)
    for gap in skipped:
        console.print(f"skipped {gap.what}: {gap.reason}", style="yellow", markup=False, highlight=False)
    untold = sorted({name for one in shown for name in one.sensors.unavailable})
    if untold:
        console.print(f"this platform does not tell: {', '.join(untold)}", style="dim", markup=False, highlight=False)


def print_comparison(comparison: Comparison) -> None:
    """Print a line a cell that both records have, and the verdict."""
    console, table = _console(), _table()
    table.add_column("cell")
    for name in ("before ms", "after ms", "ratio", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for one in comparison.ratios:
        interval = f"{one.ratio.low:.3f} to {one.ratio.high:.3f}"
        figures = (significant(one.before_ms), significant(one.after_ms), f"{one.ratio.value:.3f}", interval)
        table.add_row(str(one.cell), *figures, one.verdict, style=STYLES[one.verdict])
    console.print(table)
    for cell in comparison.only_in_one:
        console.print(f"in one record only: {cell}", style="dim", markup=False, highlight=False)
    if comparison.differences:
        line = f"the machines differ ({'; '.join(comparison.differences)})"
        console.print(line, style="yellow", markup=False, highlight=False)
    count = len(comparison.regressions)
    console.print(f"{count} of {len(comparison.ratios)} cells slower", style="red" if count else "", highlight=False)


def significant(number: float | None) -> str:
    """A number with three significant digits and no exponent; empty for None."""
    if number is None:
        return ""
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2 if abs(number) >= 1 else 3
    return f"{number:,.{digits}f}"


def _names(one: Measurement) -> tuple[str, str, str, str]:
    cell = one.cell
    model = " ".join(filter(None, (cell.way if cell.way != OWN else "", cell.engine, cell.precision)))
    source = "" if cell.input in (None, TENSOR) else f"{cell.input} {cell.frame}"
    threads = f"{cell.threads}" + (f" x {cell.streams} streams" if cell.streams > 1 else "")
    return cell.stage, model, source + (f" batch {cell.batch}" if cell.batch > 1 else ""), threads


def _figures(one: Measurement) -> tuple[str, ...]:
    summary, memory = one.summary, one.memory
    latencies = (summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.max_ms, summary.jitter_ms)
    rest = (one.throughput, one.load_ms, one.cold_start_ms, memory.rss_mb, memory.peak_mb)
    return (*map(significant, (*latencies, *rest)), str(summary.n))


def _console() -> Console:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, PIPED_WIDTH)
    return console


def _table() -> Table:
    from rich.table import Table

    return Table(box=None, pad_edge=False)
