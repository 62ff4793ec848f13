"""The parts of a chest X-ray that can be hidden, found on the grid of the whole frame from the lungs alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError
from cxr_edge.lung_shape import labelled
from cxr_edge.regions.cells import GRID, cells_around

__all__ = ["PARTS", "parts_of"]

Mask = NDArray[np.bool_]

PARTS = (
    "lungs",
    "right lung",
    "left lung",
    "outside the lungs",
    "between the lungs",
    "below the lungs",
    "above the lungs",
    "frame's border",
    "upper corners",
)
"""Names of the parts, in the order of tables and pictures. Sides are the patient's in a frontal view."""

RIM = 3
"""Cells around the lungs that count as lung: 2 % of the frame, so that hiding one side of the pleura hides no other."""

BORDER = GRID // 16
"""Width of the frame's border, cells: about that of the black borders that the paper speaks of."""

CORNER = GRID // 5
"""Side of the squares in the upper corners, cells: where markers of side, view and clinic stand."""


def parts_of(lungs: Mask) -> dict[str, Mask]:
    """Each of `PARTS` as a mask ``[128, 128]`` over the whole frame; a part may be empty.

    Args:
        lungs: the mask that a localiser found, ``[128, 128]``, not empty.

    Raises:
        UsageError: an empty mask.
    """
    box = cells_around(lungs)
    if box is None:
        raise UsageError("parts of the chest are found from the lungs, and the mask has none")
    right, left = right_and_left(lungs)
    kept = grown(lungs, RIM)
    rows, columns = np.indices(lungs.shape)
    border = np.minimum(np.minimum(rows, GRID - 1 - rows), np.minimum(columns, GRID - 1 - columns)) < BORDER
    corners = (rows < CORNER) & ((columns < CORNER) | (columns >= GRID - CORNER))
    masks = (
        kept,
        grown(right, RIM),
        grown(left, RIM),
        ~kept,
        between(lungs) & ~kept,
        (rows >= box.bottom) & ~kept,
        (rows < box.top) & ~kept,
        border,
        corners & ~kept,
    )
    return dict(zip(PARTS, masks, strict=True))


def right_and_left(lungs: Mask) -> tuple[Mask, Mask]:
    """The patient's right lung, which stands at the picture's left, and the left one.

    Lungs that touch are divided at the lowest column of the middle third of their box.
    """
    labels, areas = labelled(lungs)
    if len(areas) >= 2:
        first, second = (labels == part + 1 for part in np.argsort(-areas, kind="stable")[:2])
        return (first, second) if _centre(first) <= _centre(second) else (second, first)
    box = cells_around(lungs)
    assert box is not None
    third = box.width // 3
    heights = lungs[:, box.left + third : box.right - third].sum(axis=0)
    waist = box.left + third + int(np.argmin(heights))
    columns = np.arange(GRID)
    return lungs & (columns < waist), lungs & (columns >= waist)


def between(lungs: Mask) -> Mask:
    """Cells with lung on both sides in their row: the mediastinum with most of the heart."""
    seen_from_left = np.logical_or.accumulate(lungs, axis=1)
    seen_from_right = np.logical_or.accumulate(lungs[:, ::-1], axis=1)[:, ::-1]
    enclosed: Mask = seen_from_left & seen_from_right & ~lungs
    return enclosed


def grown(mask: Mask, cells: int) -> Mask:
    """The mask and every cell at most so many steps along rows and columns away from it."""
    for _ in range(cells):
        padded = np.pad(mask, 1)
        mask = mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return mask


def _centre(mask: Mask) -> float:
    return float(np.nonzero(mask)[1].mean())
