"""Boxes of whole cells and the pixels that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_edge.errors import UsageError
from cxr_edge.records import Box
from cxr_edge.regions.cells import GRID, CellBox, box_of_cells, cells_around, whole_grid

SIDES = st.integers(1, 5000)


@st.composite
def cell_boxes(draw: st.DrawFn) -> CellBox:
    top, left = draw(st.integers(0, GRID - 1)), draw(st.integers(0, GRID - 1))
    return CellBox(top, left, draw(st.integers(1, GRID - top)), draw(st.integers(1, GRID - left)))


@pytest.mark.parametrize("sides", [(-1, 0, 4, 4), (0, 0, 0, 4), (0, 100, 4, 29), (128, 0, 1, 1)])
def test_cells_outside_the_grid_are_refused(sides: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError, match="no box inside the 128x128 grid"):
        CellBox(*sides)


@given(SIDES, SIDES)
def test_all_cells_are_the_whole_frame(height: int, width: int) -> None:
    assert box_of_cells(whole_grid(), height, width) == Box(0, 0, height, width)


@given(cell_boxes(), SIDES, SIDES)
def test_pixels_cover_the_cells_and_no_whole_pixel_more(cells: CellBox, height: int, width: int) -> None:
    box = box_of_cells(cells, height, width)
    assert box == box.clipped(height, width)
    for start, length, first, last, side in (
        (box.top, box.height, cells.top, cells.bottom, height),
        (box.left, box.width, cells.left, cells.right, width),
    ):
        assert start * GRID <= first * side < (start + 1) * GRID
        assert (start + length - 1) * GRID < last * side <= (start + length) * GRID


def test_a_frame_of_one_pixel_has_that_pixel_in_every_cell() -> None:
    assert box_of_cells(CellBox(100, 3, 1, 1), 1, 1) == Box(0, 0, 1, 1)


@given(cell_boxes(), st.integers(0, 100))
def test_widening_adds_a_share_of_the_side_and_stops_at_the_grid(cells: CellBox, percent: int) -> None:
    wide = cells.widened(percent)
    rows = -(-cells.height * percent // 100)
    assert wide.top == max(0, cells.top - rows)
    assert wide.bottom == min(GRID, cells.bottom + rows)
    assert wide.left <= cells.left and wide.right >= cells.right


def test_the_box_around_a_mask_holds_its_outermost_cells() -> None:
    mask = np.zeros((GRID, GRID), np.bool_)
    assert cells_around(mask) is None
    mask[10, 90] = mask[127, 4] = True
    assert cells_around(mask) == CellBox(10, 4, 118, 87)
    with pytest.raises(UsageError, match="128x128"):
        cells_around(mask[:64])
