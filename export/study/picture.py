"""One picture of a study: how far each scheme moves probabilities, and what the number of range images does."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import DatasetError, UsageError
from export.study.figures import SchemeRecord
from export.study.record import StudyRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = ["draw_study"]

INK, GRID = "#22303c", "#d9dfe4"
COLOURS = {"plain": "#8fa3b3", "ours": "#1f6fb2", "half": "#4a8f5c"}
FAMILIES = {"plain": "plain tools", "ours": "ours", "half": "with FP16 (ours)"}
TARGET, TARGET_COLOUR = 0.02, "#c8442b"
MARKS = {"onnxruntime": ("o", "ONNX Runtime"), "openvino": ("D", "OpenVINO")}
LINES = ("-", "--", ":")
SMALLEST = 1e-5
"""Where the logarithmic axis begins: a scheme that changes nothing is drawn there."""


def draw_study(record: StudyRecord, path: Path) -> None:
    """Write the picture as PNG: p99 |Δp| a scheme, and against the number of range images.

    Args:
        record: with at least one scheme that ran.
        path: replaced only when the picture is complete.

    Raises:
        UsageError: matplotlib is not installed.
        DatasetError: nothing in the record ran.
        OutputError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("pictures need matplotlib: pip install 'cxr-edge[workstation]'") from error
    drawn_rows = (scheme for scheme in record.schemes if scheme.table == "schemes" or scheme.emulated)
    shown = [scheme for scheme in drawn_rows if scheme.runtimes]
    counted = [scheme for scheme in record.schemes if scheme.table == "images" and scheme.runtimes]
    if not shown and not counted:
        raise DatasetError("the record has no scheme that ran, so there is nothing to draw")
    figure = Figure(figsize=(11, 1.8 + 0.32 * max(len(shown), 8)), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    draw_schemes(left, shown)
    draw_counts(right, counted)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=130, metadata={"Software": None})
    write_atomically(path, drawn.getvalue())


def draw_schemes(axes: Axes, schemes: Sequence[SchemeRecord]) -> None:
    """A row a scheme, the first on top; a mark for each runtime."""
    for row, scheme in enumerate(schemes):
        for runtime, found in scheme.runtimes.items():
            mark = MARKS.get(runtime, ("s", runtime))[0]
            value = max(found.p99_probability, SMALLEST)
            axes.plot(value, row, mark, color=COLOURS[scheme.family], markersize=7, alpha=0.85)
    axes.set_yticks(range(len(schemes)), [scheme.title.replace("**", "").replace("`", "") for scheme in schemes])
    axes.invert_yaxis()
    axes.set_xscale("log")
    decimal_ticks(axes.xaxis)
    axes.axvline(TARGET, color=TARGET_COLOUR, linewidth=1, linestyle="--")
    style(axes, "p99 |Δp| against FP32 on unseen images (dashed: the target)")
    for mark, name in MARKS.values():
        axes.plot([], [], mark, color=INK, markersize=6, label=name)
    for family, name in FAMILIES.items():
        axes.plot([], [], "s", color=COLOURS[family], markersize=6, label=name)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")


def draw_counts(axes: Axes, schemes: Sequence[SchemeRecord]) -> None:
    """A line a scheme over the number of range images, on ONNX Runtime."""
    titles = list(dict.fromkeys(scheme.title for scheme in schemes))
    families = {scheme.title: scheme.family for scheme in schemes}
    for number, title in enumerate(titles):
        points = sorted(
            (scheme.range_images, scheme.runtimes["onnxruntime"].p99_probability)
            for scheme in schemes
            if scheme.title == title and "onnxruntime" in scheme.runtimes
        )
        line, colour = LINES[number % len(LINES)], COLOURS[families[title]]
        axes.plot(*zip(*points, strict=True), line, color=colour, marker="o", markersize=4, label=title)
    axes.axhline(TARGET, color=TARGET_COLOUR, linewidth=1, linestyle="--")
    axes.set_yscale("log")
    decimal_ticks(axes.yaxis)
    axes.set_xscale("log")
    counts = sorted({scheme.range_images for scheme in schemes})
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    style(axes, "range images", "p99 |Δp|, ONNX Runtime")
    if titles:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")


def decimal_ticks(axis: Axis) -> None:
    """Ticks of a logarithmic axis at 1, 2 and 5 times the powers of ten, written as decimals."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))


def style(axes: Axes, x: str, y: str = "") -> None:
    """Labels and a quiet grid."""
    axes.set_xlabel(x, color=INK, fontsize=9)
    axes.set_ylabel(y, color=INK, fontsize=9)
    axes.grid(color=GRID, linewidth=0.6, which="both", alpha=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
