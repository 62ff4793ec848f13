"""Boxes on the fixed grid that regions are found on, and what they mean in pixels of a frame.

Whatever finds a region looks at the whole frame shrunk to `GRID` x `GRID` cells. A box of whole cells becomes a box of
pixels in integer arithmetic, so that machine, engine and precision cannot move a crop by even one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError
from cxr_edge.records import Box

__all__ = ["GRID", "CellBox", "box_of_cells", "cells_around", "whole_grid"]

GRID = 128
"""Cells along either side of a frame, whatever its size in pixels."""


@dataclass(frozen=True, slots=True)
class CellBox:
    """A box in cells of the grid: rows ``[top, top + height)``, columns ``[left, left + width)``.

    Raises:
        UsageError: empty, or not inside the grid.
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        inside = 0 <= self.top < self.bottom <= GRID and 0 <= self.left < self.right <= GRID
        if not inside:
            raise UsageError(
                f"cells {self.top}..{self.bottom} by {self.left}..{self.right} are no box inside the {GRID}x{GRID} grid"
            )

    @property
    def bottom(self) -> int:
        """The first row below the box."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The first column to the right of the box."""
        return self.left + self.width

    def widened(self, percent: int) -> CellBox:
        """The box with a share of its own height and width added on each side, rounded up, as far as the grid reaches.

        Args:
            percent: of the box's side, whole, 0 or more.
        """
        rows, columns = -(-self.height * percent // 100), -(-self.width * percent // 100)
        top, left = max(self.top - rows, 0), max(self.left - columns, 0)
        return CellBox(top, left, min(self.bottom + rows, GRID) - top, min(self.right + columns, GRID) - left)


def whole_grid() -> CellBox:
    """The box of every cell."""
    return CellBox(0, 0, GRID, GRID)


def cells_around(mask: NDArray[np.bool_]) -> CellBox | None:
    """The smallest box that holds every true cell of a mask ``[GRID, GRID]``; None where no cell is true.

    Raises:
        UsageError: a mask of another shape.
    """
    if mask.shape != (GRID, GRID):
        raise UsageError(f"a mask of cells is {GRID}x{GRID}, not {list(mask.shape)}")
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    top, left = int(rows[0]), int(columns[0])
    return CellBox(top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left)


def box_of_cells(cells: CellBox, height: int, width: int) -> Box:
    """The smallest box of whole pixels that covers the cells, in pixels of the stored frame.

    Cell c of n covers ``[c * side / n, (c + 1) * side / n)`` pixels; its near edge is rounded down and its far edge up,
    so that a frame with fewer pixels than cells still gives at least one pixel.

    Args:
        cells: the box on the grid.
        height: rows of the frame, pixels.
        width: columns of it.
    """
    top, left = cells.top * height // GRID, cells.left * width // GRID
    bottom, right = -(-cells.bottom * height // GRID), -(-cells.right * width // GRID)
    return Box(top, left, bottom - top, right - left)
