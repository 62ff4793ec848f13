"""A forest plot of a study: a row a cell, its figures with their intervals, and the paper's."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import UsageError
from cxr_edge.probability import Interval
from training.reproduce.cells import Cell
from training.reproduce.figures import CellFigures, StudySummary
from training.reproduce.paper import PAPER
from training.reproduce.tables import START_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_cells"]

INK, GRID, PAPER_COLOUR = "#22303c", "#d9dfe4", "#c8442b"
COLOURS = {"none": "#8fa3b3", "nih14": "#1f6fb2", "chexnet": "#4a8f5c"}
MARKS = {"linear": "o", "hidden": "D"}


def draw_cells(summary: StudySummary, path: Path) -> None:
    """Write the plot as PNG: AUC, accuracy, sensitivity and specificity of every cell.

    Args:
        summary: with at least one cell.
        path: replaced only when the picture is complete.

    Raises:
        UsageError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("pictures need matplotlib: pip install 'cxr-edge[workstation]'") from error
    cells = sorted(summary.cells, key=order_of)
    figure = Figure(figsize=(12, 1.6 + 0.3 * len(cells)), layout="constrained", facecolor="white")
    panels = figure.subplots(1, 4, sharey=True)
    draw_panel(panels[0], "AUC", [cell.auc for cell in cells], cells, None)
    draw_panel(panels[1], "accuracy", [cell.accuracy for cell in cells], cells, PAPER.accuracy)
    draw_panel(panels[2], "sensitivity", [cell.sensitivity for cell in cells], cells, PAPER.sensitivity)
    draw_panel(panels[3], "specificity", [cell.specificity for cell in cells], cells, PAPER.specificity)
    panels[0].set_yticks(range(len(cells)), [row_name(cell) for cell in cells])
    panels[0].invert_yaxis()
    add_legend(panels[0], cells)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120, metadata={"Software": None})
    write_atomically(path, drawn.getvalue())


def order_of(cell: CellFigures) -> tuple[bool, str, str]:
    """Trained networks below frozen ones, then by head and start, so that the variants of a kind are neighbours."""
    parts = Cell.parse(cell.cell)
    return parts.tune == "all", parts.start, parts.head


def row_name(cell: CellFigures) -> str:
    """What was trained, what it saw, and how many of its models there are yet where some are missing."""
    parts = Cell.parse(cell.cell)
    missing = "" if cell.splits == cell.planned else f" ({cell.splits} of {cell.planned})"
    return f"{'all layers' if parts.tune == 'all' else 'frozen'}, {parts.variant}{missing}"


def draw_panel(
    axes: Axes, title: str, figures: Sequence[Interval], cells: Sequence[CellFigures], paper: Interval | None
) -> None:
    """One figure of every cell; the paper's as a dashed line in a band of its interval."""
    if paper is not None:
        axes.axvspan(paper.low, paper.high, color=PAPER_COLOUR, alpha=0.07, linewidth=0)
        axes.axvline(paper.value, color=PAPER_COLOUR, linewidth=1, linestyle="--")
    for row, (figure, cell) in enumerate(zip(figures, cells, strict=True)):
        parts = Cell.parse(cell.cell)
        colour = COLOURS[parts.start]
        axes.plot((figure.low, figure.high), (row, row), "-", color=colour, linewidth=1.6)
        axes.plot(figure.value, row, MARKS[parts.head], color=colour, markersize=5)
    axes.set_title(title, fontsize=10, color=INK)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def add_legend(axes: Axes, cells: Sequence[CellFigures]) -> None:
    """Colours of the starts and marks of the heads that occur."""
    parts = [Cell.parse(cell.cell) for cell in cells]
    for start in dict.fromkeys(part.start for part in parts):
        axes.plot([], [], "s", color=COLOURS[start], markersize=5, label=f"start: {START_NAMES[start]}")
    for head in dict.fromkeys(part.head for part in parts):
        axes.plot([], [], MARKS[head], color=INK, markersize=5, label=f"head: {head}")
    axes.plot([], [], "--", color=PAPER_COLOUR, linewidth=1, label="paper, cropped")
    axes.figure.legend(loc="outside lower center", ncols=6, frameon=False, fontsize=8, labelcolor=INK)
