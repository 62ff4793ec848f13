"""Bars: what share of the processor's peak each kind of operation reaches, and what share of the time it takes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.native_engine_page.record import Layers
from benchmarks.native_engine_page.targets import cores
from cxr_edge.atomic import write_atomically
from cxr_edge.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["roofline_picture"]

INK, GRID, QUIET = "#22303c", "#d9dfe4", "#8fa3b3"
COLOURS = ("#1f6fb2", "#8fc1e3", "#4c9f70", "#d9a441")
WIDTH_INCHES, ROW_INCHES, FRAME_INCHES = 9.5, 0.5, 1.2
DOTS_PER_INCH = 130
GROUP = 0.8
"""Part of a row that its bars fill."""

WHOLE = "whole inference"
MIN_SHARE_OF_TIME = 0.002
"""Kinds that take less of an inference than this have no bar."""


def roofline_picture(layers: Sequence[Layers], path: Path, title: str) -> None:
    """Write a bar a kind of operation and number of threads, and one for whole inferences.

    Args:
        layers: at least one, with a measured peak each.
        path: PNG file to write; replaced only when the picture is complete.
        title: the machine's name.

    Raises:
        UsageError: nothing to draw, or matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    if not layers or any(one.vnni_peak_gmac_per_s <= 0 for one in layers):
        raise UsageError("the record holds no operations beside a measured peak: nothing to draw")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("pictures need matplotlib: pip install 'cxr-edge[workstation]'") from error
    names = kinds_of(layers[0])
    size = (WIDTH_INCHES, FRAME_INCHES + ROW_INCHES * len(names))
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    draw_bars(axes, layers, names)
    set_frame(axes, names)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    write_atomically(path, drawn.getvalue())


def draw_bars(axes: Axes, layers: Sequence[Layers], names: Sequence[str]) -> None:
    """A group of bars a kind, a colour a number of threads, each with its share and its time."""
    thickness = GROUP / len(layers)
    for number, one in enumerate(layers):
        bars = bars_of(one, names)
        places = [row + (number + 0.5) * thickness - GROUP / 2 for row in range(len(names))]
        label = f"{cores(one.threads)}: peak {one.vnni_peak_gmac_per_s:.0f} GMAC/s"
        colour = COLOURS[number % len(COLOURS)]
        axes.barh(places, [share for share, _ in bars], thickness * 0.9, color=colour, label=label)
        for place, (share, ms) in zip(places, bars, strict=True):
            axes.annotate(f"{share:.0%}, {ms:.2f} ms", (share + 0.01, place), va="center", fontsize=8, color=INK)


def set_frame(axes: Axes, names: Sequence[str]) -> None:
    """Axes, the line of the peak, the legend."""
    axes.axvline(1.0, color=INK, linewidth=1)
    axes.set_xlim(0, 1.18)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.xaxis.set_major_formatter(lambda value, position: f"{value:.0%}")
    axes.set_xlabel("multiply-adds a second, share of the peak measured in the same process", color=INK, fontsize=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(QUIET)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=8, labelcolor=INK, ncols=2)


def kinds_of(layers: Layers) -> list[str]:
    """The kinds that have multiply-adds and take noticeable time, then the whole."""
    total = sum(kind.us for kind in layers.kinds)
    kept = [kind.kind for kind in layers.kinds if kind.mmac > 0 and kind.us >= MIN_SHARE_OF_TIME * total]
    return [*kept, WHOLE]


def bars_of(layers: Layers, names: Sequence[str]) -> list[tuple[float, float]]:
    """Share of the peak and milliseconds of each named kind."""
    found = {kind.kind: (kind.gmac_per_s, kind.us / 1e3) for kind in layers.kinds}
    found[WHOLE] = (layers.gmac_per_s, layers.inference_us_median / 1e3)
    return [(found[name][0] / layers.vnni_peak_gmac_per_s, found[name][1]) for name in names]
