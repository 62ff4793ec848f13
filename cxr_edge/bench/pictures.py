"""Latency distributions and stage breakdowns as PNG files.

matplotlib comes with the extra ``workstation`` and is imported only here, only when a picture is drawn, and without
pyplot: no global figure list, no back end chosen for the rest of the process.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.bench.grid import OWN
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.table import significant
from cxr_edge.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_pictures", "latency_picture", "make_picture_folder", "stage_picture"]

MATPLOTLIB_MISSING = "pictures need matplotlib: pip install 'cxr-edge[workstation]'"
INK, GRID, QUIET = "#22303c", "#d9dfe4", "#8fa3b3"
OURS, PEER, TAIL = "#1f6fb2", "#8fa3b3", "#c8442b"
STAGE_COLOURS = {
    "decode": "#8fa3b3",
    "gate": "#d9a441",
    "localise": "#7a5ba6",
    "preprocess": "#4c9f70",
    "infer": "#1f6fb2",
    "other": "#d9dfe4",
}
WIDTH_INCHES, ROW_INCHES, FRAME_INCHES = 9.5, 0.34, 1.3
DOTS_PER_INCH = 130
SPREAD = 0.26
"""Half the height that the dots of one cell fill, rows."""


def make_picture_folder(folder: Path) -> None:
    """Make the folder that pictures will go to, before the hours of measuring.

    Raises:
        UsageError: matplotlib, which draws them, is not installed.
        OutputError: the folder cannot be made.
    """
    if find_spec("matplotlib") is None:
        raise UsageError(MATPLOTLIB_MISSING)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def draw_pictures(folder: Path, measurements: Sequence[Measurement]) -> list[Path]:
    """The pictures that these cells give something for, written as ``latency.png`` and ``stages.png``.

    Raises:
        UsageError: there are no cells, or matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    paths = [folder / "latency.png"]
    latency_picture(measurements, paths[0], "Latency")
    staged = [one for one in measurements if one.stages_ms]
    if staged:
        paths.append(folder / "stages.png")
        stage_picture(staged, paths[1], "Where the time goes, end to end")
    return paths


def latency_picture(measurements: Sequence[Measurement], path: Path, title: str) -> None:
    """Write a row a cell: every repetition as a dot, p50 as a bar, p99 as a tick, on a logarithmic axis.

    Args:
        measurements: at least one; the first is the uppermost row.
        path: PNG file to write; replaced only when the picture is complete.
        title: what the cells have in common.

    Raises:
        UsageError: nothing to draw, or matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    figure, axes = _rows(measurements, title)
    axes.set_xscale("log")
    for row, one in enumerate(measurements):
        colour = OURS if one.cell.way == OWN else PEER
        # A fixed scatter by number, not by chance: one record always gives one picture.
        heights = row + SPREAD * np.sin(2.399963 * np.arange(len(one.repetitions_ms)))
        axes.plot(one.repetitions_ms, heights, "o", color=colour, markersize=2.6, alpha=0.45, markeredgewidth=0)
        summary = one.summary
        axes.plot([summary.p50_ms] * 2, [row - 0.38, row + 0.38], color=INK, linewidth=2)
        axes.plot([summary.p99_ms] * 2, [row - 0.25, row + 0.25], color=TAIL, linewidth=1.4)
        _note(axes, row, f"{significant(summary.p50_ms)} ms")
    _decades(axes)
    axes.set_xlabel("milliseconds (logarithmic); dark bar: p50, red tick: p99, dots: repetitions")
    _save(figure, path)


def stage_picture(measurements: Sequence[Measurement], path: Path, title: str) -> None:
    """Write a stacked bar a cell: the median of each stage, and what the total has beyond them.

    Args:
        measurements: those without stages are left out.
        path: PNG file to write; replaced only when the picture is complete.
        title: what the cells have in common.

    Raises:
        UsageError: no cell has stages, or matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    staged = [one for one in measurements if one.stages_ms]
    figure, axes = _rows(staged, title)
    for row, one in enumerate(staged):
        rest = max(0.0, one.summary.p50_ms - sum(one.stages_ms.values()))
        left = 0.0
        for name, ms in {**one.stages_ms, "other": rest}.items():
            axes.barh(row, ms, left=left, height=0.62, color=STAGE_COLOURS.get(name, QUIET), linewidth=0)
            left += ms
        _note(axes, row, f"{significant(one.summary.p50_ms)} ms")
    used = [name for name in STAGE_COLOURS if name == "other" or any(name in one.stages_ms for one in staged)]
    for name in used:
        axes.barh(0, 0, color=STAGE_COLOURS[name], label=name)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=8, labelcolor=INK, ncols=6)
    axes.set_xlabel("milliseconds, median of each stage")
    axes.set_xlim(left=0)
    _save(figure, path)


def labels(measurements: Sequence[Measurement]) -> list[str]:
    """A row's name each: what tells the cells apart, and whose they are where not all are ours."""
    cells = [one.cell for one in measurements]
    one_stage = len({cell.stage for cell in cells}) == 1
    all_ours = all(cell.way == OWN for cell in cells)
    names = []
    for cell in cells:
        name = str(cell) if cell.way != OWN or all_ours else f"{OWN}, {cell}"
        names.append(name.replace(f"{cell.stage}, ", "", 1) if one_stage else name)
    return names


def _rows(measurements: Sequence[Measurement], title: str) -> tuple[Figure, Axes]:
    if not measurements:
        raise UsageError(f"nothing to draw for {title!r}: the record has no such cells")
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise UsageError(MATPLOTLIB_MISSING) from error
    size = (WIDTH_INCHES, FRAME_INCHES + ROW_INCHES * len(measurements))
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08), facecolor="white")
    axes = figure.add_subplot()
    axes.set_yticks(range(len(measurements)), labels(measurements))
    axes.set_ylim(len(measurements) - 0.4, -0.6)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.xaxis.label.set(color=INK, size=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(QUIET)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
    return figure, axes


def _note(axes: Axes, row: int, text: str) -> None:
    """The figure at the right end of a row."""
    axes.annotate(
        text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=INK, annotation_clip=False
    )


def _decades(axes: Axes) -> None:
    """Ticks as plain numbers: 10 and 100, not powers."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _save(figure: Figure, path: Path) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    write_atomically(path, drawn.getvalue())
