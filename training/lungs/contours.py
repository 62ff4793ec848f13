"""Thumbnails with the contours and boxes of true and found lungs, side by side in one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from cxr_edge.lungs import Lungs
from cxr_edge.regions.cells import GRID, CellBox, cells_around

__all__ = ["Panel", "draw_panels"]

FOUND, TRUE = "#ff5533", "#33dd66"
EDGE = GRID - 0.5
"""Cell centres lie on whole numbers, so the picture ends half a cell beyond the last one."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: its thumbnail ``[128, 128]`` in [-1, 1], what was found, the true mask where known, a caption."""

    thumbnail: NDArray[np.float32]
    lungs: Lungs
    true: NDArray[np.bool_] | None
    caption: str


def draw_panels(panels: Sequence[Panel], columns: int) -> bytes:
    """The panels as a PNG, row by row: found in red with the snapped box dashed, true in green.

    Args:
        panels: at least one.
        columns: panels in a row.
    """
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.45 * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, panel in zip(figure.axes, panels, strict=False):
        draw(axes, panel)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=80)
    return picture.getvalue()


def draw(axes: Any, panel: Panel) -> None:
    """One panel."""
    axes.imshow(panel.thumbnail, cmap="gray", vmin=-1, vmax=1)
    axes.set_title(panel.caption, fontsize=8)
    if panel.true is not None:
        outline(axes, panel.true, TRUE)
        rectangle(axes, cells_around(panel.true), TRUE, "solid")
    if panel.lungs.found:
        outline(axes, panel.lungs.mask, FOUND)
        rectangle(axes, panel.lungs.box, FOUND, "dashed")
    axes.set(xlim=(-0.5, EDGE), ylim=(EDGE, -0.5))


def outline(axes: Any, mask: NDArray[np.bool_], colour: str) -> None:
    """The border of a mask; an empty or a full one has none."""
    if mask.any() and not mask.all():
        axes.contour(np.pad(mask.astype(float), 1), [0.5], colors=colour, linewidths=0.9, extent=(-1, GRID, -1, GRID))


def rectangle(axes: Any, box: CellBox | None, colour: str, style: str) -> None:
    """A box of cells."""
    if box is not None:
        place = (box.left - 0.5, box.top - 0.5)
        axes.add_patch(Rectangle(place, box.width, box.height, fill=False, ec=colour, lw=0.8, ls=style))
