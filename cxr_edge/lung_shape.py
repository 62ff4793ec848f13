"""What a map of lung cells must look like to be believed, and a box around it that noise does not move.

Parts and boxes are whole numbers of cells of the grid of `cxr_edge.regions.cells`: the same cells give the same box on
every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_edge.regions.cells import GRID, CellBox, cells_around

__all__ = ["SNAP", "implausible", "labelled", "lung_components", "snapped"]

Mask = NDArray[np.bool_]

SNAP = 4
"""Boxes begin and end at multiples of this many cells: 3 % of the frame."""

LEAST_SECOND = 0.2
"""The smaller of two parts is a lung from this share of the larger one's area on; below it is a speck."""

LEAST_AREA, MOST_AREA = 0.03, 0.7
"""Lungs cover this share of the picture: a child in a large frame, a chest cut to the lungs."""

LEAST_SIDE = 0.2
"""Shortest side of the lungs' box, as a share of the picture's side."""

MOST_ASPECT = 2.2
"""Largest ratio of the sides of the lungs' box, either way."""

LEAST_OVERLAP = 0.4
"""Two lungs stand beside each other: so much of the shorter one's height is shared by both."""

WAIST = 1.25
"""Where lungs touch, each is so many times as high as the place where they do."""

MOST_BELOW = 1.3
"""Most lung below the middle of the box, relative to that above it: heart and diaphragm take their room below."""

LEAST_CONFIDENCE = 0.75
"""Mean probability inside the lungs; a network that guesses gives less: 0.72 on the side view of a dog's chest."""


def lung_components(cells: Mask) -> Mask:
    """The largest part of a map, the second largest if it is no speck, and the holes in them, ``[128, 128]`` bool."""
    labels, areas = labelled(cells)
    if not len(areas):
        return np.zeros_like(cells)
    order = np.argsort(-areas, kind="stable")
    kept = [part + 1 for part in order[:2] if areas[part] >= LEAST_SECOND * areas[order[0]]]
    return without_holes(_cells_of(labels, kept))


def _cells_of(labels: NDArray[np.int64], parts: Sequence[int] | NDArray[np.int64]) -> Mask:
    """The cells of some parts of a labelled map."""
    chosen = np.zeros(int(labels.max()) + 1, np.bool_)
    chosen[parts] = True
    cells: Mask = chosen[labels]
    return cells


def without_holes(mask: Mask) -> Mask:
    """The mask with every background part that doesn't reach the edge filled."""
    labels, _ = labelled(~mask)
    edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return ~_cells_of(labels, edges[edges > 0])


def labelled(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The 4-connected parts of a mask: their number from 1 in every cell (0 outside), and their areas in cells.

    Runs of cells in a row are joined with those that they touch in the row above (union-find over runs).
    """
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    first_of_row = np.searchsorted(rows, np.arange(len(mask) + 1)).tolist()
    starts_list, ends_list = starts.tolist(), ends.tolist()
    for row in range(1, len(mask)):
        above, end_above = first_of_row[row - 1], first_of_row[row]
        for run in range(first_of_row[row], first_of_row[row + 1]):
            while above < end_above and ends_list[above] <= starts_list[run]:
                above += 1
            touching = above
            while touching < end_above and starts_list[touching] < ends_list[run]:
                parents[root(run)] = root(touching)
                touching += 1
    roots = np.array([root(run) for run in range(len(rows))], np.int64)
    numbers = np.unique(roots, return_inverse=True)[1].reshape(-1) + 1
    lengths = ends - starts
    labels = np.zeros(mask.shape, np.int64)
    labels[mask] = np.repeat(numbers, lengths)
    areas = np.bincount(numbers, weights=lengths).astype(np.int64)[1:] if len(rows) else np.zeros(0, np.int64)
    return labels, areas


def implausible(mask: Mask, logits: NDArray[np.float32]) -> str | None:
    """Why a map is no pair of lungs, one phrase with the value seen; None where it is one.

    Args:
        mask: what `lung_components` left, ``[128, 128]``.
        logits: the network's map, ``[128, 128]``.
    """
    box = cells_around(mask)
    if box is None:
        return "no cell looks like lung"
    area = float(mask.mean())
    if not LEAST_AREA <= area <= MOST_AREA:
        return f"lungs would cover {area:.0%} of the picture"
    if min(box.height, box.width) < LEAST_SIDE * GRID:
        return f"lungs would be {box.height / GRID:.0%} high and {box.width / GRID:.0%} wide"
    aspect = box.height / box.width
    if not 1 / MOST_ASPECT <= aspect <= MOST_ASPECT:
        return f"lungs would be {aspect:.2f} times as high as wide"
    confidence = float((1 / (1 + np.exp(-logits[mask].astype(np.float64)))).mean())
    if confidence < LEAST_CONFIDENCE:
        return f"the localiser is {confidence:.0%} sure"
    middle = box.top + box.height // 2
    below = int(mask[middle:].sum()) / max(int(mask[:middle].sum()), 1)
    if below > MOST_BELOW:
        return f"there would be {below:.1f} times as much lung below as above, as if upside down"
    return _unpaired(mask, box)


def _unpaired(mask: Mask, box: CellBox) -> str | None:
    """Why the parts are not a right and a left lung."""
    labels, areas = labelled(mask)
    if len(areas) < 2:
        return None if _touching(mask, box) else "only one lung"
    one, other = (cells_around(labels == part) for part in (1, 2))
    assert one is not None and other is not None
    shared = min(one.bottom, other.bottom) - max(one.top, other.top)
    centres = (one.left + one.right) / 2, (other.left + other.right) / 2
    if shared < LEAST_OVERLAP * min(one.height, other.height) or abs(centres[0] - centres[1]) < box.width / 4:
        return "the lungs are not side by side"
    return None


def _touching(mask: Mask, box: CellBox) -> bool:
    """Whether one part is two lungs that touch: a waist between columns that are a quarter higher on either side."""
    heights = mask[:, box.left : box.right].sum(axis=0)
    third = box.width // 3
    waist = heights[third : box.width - third].min()
    lower_side = min(heights[:third].max(), heights[box.width - third :].max())
    return bool(waist * WAIST <= lower_side)


def snapped(box: CellBox) -> CellBox:
    """The smallest box on multiples of `SNAP` cells that holds this one."""
    top, left = box.top // SNAP * SNAP, box.left // SNAP * SNAP
    bottom, right = (min(-(-edge // SNAP) * SNAP, GRID) for edge in (box.bottom, box.right))
    return CellBox(top, left, bottom - top, right - left)
