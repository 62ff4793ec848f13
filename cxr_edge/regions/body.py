"""The part of a frame that shows the body: without black borders, collimation bars and frames of one grey level.

Works on levels of 1/1000 of the grey scale and compares whole numbers only. In doubt it keeps: air beside the body
that is not much darker than the lungs, a marker that touches the body, a bar that is not parallel to the frame, the
shadow of a collimator in which the body still shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxr_edge.regions.cells import GRID, CellBox

__all__ = ["find_body"]

Levels = NDArray[np.int32]

AIR_SHARE = 8
"""What lies in the lowest 1/8 of the range from the darkest to the bright cells of a picture counts as air."""

LIGHTEST_AIR = 300
"""No level above this is air, in 1/1000 of the grey scale: a picture can be all body, too."""

SQUARE = 9
"""Side of the squares, in cells, that the body is made of. Letters and noise hold none; a child's neck does."""

LEAST_SIDE = GRID // 4
"""Shortest side of a body, in cells; whatever is smaller is none, and the whole frame is kept."""

DEEPEST_BAR = 3 * GRID // 8
"""Lines that may be a bar on one side, at most."""

SAME_LEVEL = 15
"""Largest difference of levels within a bar, in 1/1000 of the grey scale."""

EDGE_STEP, EDGE_WIDTH = 50, 3
"""A bar ends in an edge: at least so many levels within so many lines. Saturated tissue fades instead."""


def find_body(thumbnail: NDArray[np.float32]) -> CellBox | None:
    """The box that holds the body, widened outwards to whole cells; None where there is nothing like one.

    Args:
        thumbnail: the whole frame as `cxr_edge.regions.thumbnail.thumbnail` shows it, ``[GRID, GRID]`` in [-1, 1].
    """
    levels = np.rint((thumbnail + np.float32(1)) * np.float32(500)).astype(np.int32)
    top, bottom, left, right = _without_bars(levels)
    if min(bottom - top, right - left) < LEAST_SIDE:
        return None
    tissue = np.zeros((GRID, GRID), np.bool_)
    inside = levels[top:bottom, left:right]
    if inside.min() == inside.max():
        return None
    tissue[top:bottom, left:right] = inside > _air_level(inside)
    body = _box_of_squares(tissue)
    if body is None or min(body.height, body.width) < LEAST_SIDE:
        return None
    return _grown(body, tissue)


def _air_level(levels: Levels) -> int:
    """The brightest level that counts as air. Dark is what 2 % of the cells are below, bright what 10 % are above."""
    ordered = np.sort(levels, axis=None)
    dark, bright = int(ordered[ordered.size // 50]), int(ordered[ordered.size - 1 - ordered.size // 10])
    return min(dark + (bright - dark) // AIR_SHARE, LIGHTEST_AIR)


def _without_bars(levels: Levels) -> tuple[int, int, int, int]:
    """Rows ``[top, bottom)`` and columns ``[left, right)`` that bars of one level, taken off each side, leave."""
    top, bottom, left, right = 0, GRID, 0, GRID
    for _ in range(2):  # bars above and below can hide those beside, and the other way round
        rows = levels[:, left:right]
        top, bottom = top + _bar(rows[top:bottom]), bottom - _bar(rows[top:bottom][::-1])
        columns = levels[top:bottom].T
        left, right = left + _bar(columns[left:right]), right - _bar(columns[left:right][::-1])
        if min(bottom - top, right - left) < LEAST_SIDE:
            break
    return top, bottom, left, right


def _bar(lines: Levels) -> int:
    """How many of the first lines are a bar: each of one level, all of the same, and an edge behind them.

    A tenth of each line at either end of the grey scale may be anything, such as a marker.
    """
    tenth = lines.shape[1] // 10
    ordered = np.sort(lines[: DEEPEST_BAR + EDGE_WIDTH], axis=1)
    low, high = ordered[:, tenth], ordered[:, -1 - tenth]
    middle = ordered[:, ordered.shape[1] // 2]
    within = (high - low <= SAME_LEVEL) & (np.abs(middle - middle[0]) <= SAME_LEVEL)
    count = int(np.argmin(within)) if not within.all() else len(within)
    if count == 0 or count + EDGE_WIDTH > len(middle):
        return 0
    return count if abs(int(middle[count + EDGE_WIDTH - 1]) - int(middle[count - 1])) >= EDGE_STEP else 0


def _box_of_squares(tissue: NDArray[np.bool_]) -> CellBox | None:
    """The box around every `SQUARE` x `SQUARE` square that is all tissue; None where there is none."""
    sums = np.zeros((GRID + 1, GRID + 1), np.int32)
    sums[1:, 1:] = tissue.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    inside = sums[SQUARE:, SQUARE:] - sums[:-SQUARE, SQUARE:] - sums[SQUARE:, :-SQUARE] + sums[:-SQUARE, :-SQUARE]
    corners = inside == SQUARE * SQUARE
    rows, columns = np.flatnonzero(corners.any(axis=1)), np.flatnonzero(corners.any(axis=0))
    if rows.size == 0:
        return None
    top, left = int(rows[0]), int(columns[0])
    return CellBox(top, left, int(rows[-1]) + SQUARE - top, int(columns[-1]) + SQUARE - left)


def _grown(body: CellBox, tissue: NDArray[np.bool_]) -> CellBox:
    """The box and one cell around it, and before that up to a square's side more wherever tissue goes on beyond it.

    Squares miss what is narrower than they are, such as the tip of a shoulder.
    """
    rows = tissue[:, body.left : body.right].sum(axis=1)
    columns = tissue[body.top : body.bottom].sum(axis=0)
    top = body.top - _continued(rows[: body.top][::-1])
    bottom = body.bottom + _continued(rows[body.bottom :])
    left = body.left - _continued(columns[: body.left][::-1])
    right = body.right + _continued(columns[body.right :])
    top, left = max(top - 1, 0), max(left - 1, 0)
    return CellBox(top, left, min(bottom + 1, GRID) - top, min(right + 1, GRID) - left)


def _continued(counts: NDArray[np.int64]) -> int:
    """How many of the next lines, a square's side at most, hold tissue without a gap; single cells are noise."""
    empty = np.flatnonzero(counts[:SQUARE] < 2)
    return int(empty[0]) if empty.size else min(len(counts), SQUARE)
