"""How much of the evidence lies on the lungs: cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cxr_edge import Box, Radiograph, Window
from cxr_edge.errors import UsageError
from cxr_edge.evidence_share import lung_shares, share_on_lungs
from cxr_edge.heatmap import Heatmap
from cxr_edge.regions.cells import GRID

FRAME = Radiograph(np.zeros((512, 384), np.uint16), Window(0, 4095))
WHOLE = Box(0, 0, 512, 384)


def lungs(rows: slice, columns: slice) -> NDArray[np.bool_]:
    """A mask of one rectangle of cells."""
    mask = np.zeros((GRID, GRID), np.bool_)
    mask[rows, columns] = True
    return mask


def heatmap(cam: NDArray[np.floating], box: Box = WHOLE, neutral: float = 0.0) -> Heatmap:
    return Heatmap(FRAME, cam.astype(np.float32), box, neutral)


def spot(row: int, column: int, value: float = 8.0, elsewhere: float = 0.0) -> NDArray[np.float64]:
    """A 4 x 4 map, each cell of which covers 32 x 32 cells of the mask's grid."""
    cam = np.full((4, 4), elsewhere)
    cam[row, column] = value
    return cam


def test_evidence_in_a_cell_full_of_lung_is_on_the_lungs_and_elsewhere_is_not() -> None:
    mask = lungs(slice(32, 64), slice(64, 96))
    assert share_on_lungs(heatmap(spot(1, 2)), mask) == 1.0
    assert share_on_lungs(heatmap(spot(0, 2)), mask) == 0.0
    assert share_on_lungs(heatmap(spot(1, 2) + spot(3, 3)), mask) == 0.5


def test_a_cell_counts_by_the_share_of_it_that_the_lungs_cover() -> None:
    assert share_on_lungs(heatmap(spot(1, 2)), lungs(slice(32, 48), slice(64, 72))) == pytest.approx(1 / 8)


def test_evidence_spread_evenly_lies_on_the_lungs_by_their_share_of_the_picture() -> None:
    mask = np.random.default_rng(4).random((GRID, GRID)) < 0.3
    even = heatmap(np.full((7, 7), 2.5), Box(30, 21, 401, 333))
    assert share_on_lungs(even, mask) == pytest.approx(float(lung_shares(even, mask).mean()))
    assert share_on_lungs(heatmap(np.ones((7, 7))), mask) == pytest.approx(float(mask.mean()))


def test_what_speaks_for_normal_is_what_lies_below_the_threshold() -> None:
    mask = lungs(slice(32, 64), slice(64, 96))
    assert share_on_lungs(heatmap(spot(1, 2, -9.0, elsewhere=0.4)), mask) == 1.0  # cool on the lungs, mean below 0
    assert share_on_lungs(heatmap(spot(1, 2, 9.0, elsewhere=-1.0)), mask) == 0.0  # mean -0.375: the warm spot says no


def test_the_threshold_says_which_side_a_cell_is_on() -> None:
    mask = lungs(slice(32, 64), slice(64, 96))
    cam = spot(1, 2, 3.0, elsewhere=1.0)  # mean 1.125
    assert share_on_lungs(heatmap(cam, neutral=1.0), mask) == 1.0
    assert share_on_lungs(heatmap(cam, neutral=2.0), mask) == 0.0
    assert share_on_lungs(heatmap(cam), mask) == pytest.approx(3 / 18)


def test_a_map_of_a_part_of_the_frame_is_held_against_the_lungs_in_that_part() -> None:
    # The box is cells 32 to 96 down and 64 to 128 across; a quarter of it, the map's first cell, is lung.
    box = Box(128, 192, 256, 192)
    mask = lungs(slice(32, 64), slice(64, 96))
    expected = np.zeros((2, 2))
    expected[0, 0] = 1.0
    np.testing.assert_array_equal(lung_shares(heatmap(np.ones((2, 2)), box), mask), expected)
    assert not lung_shares(heatmap(np.ones((2, 2)), Box(384, 0, 128, 384)), mask).any()


def test_shares_agree_with_counting_fine_points_wherever_the_borders_fall() -> None:
    random = np.random.default_rng(7)
    box, mask = Box(37, 5, 311, 290), random.random((GRID, GRID)) < 0.5
    shares = lung_shares(heatmap(np.ones((3, 5)), box), mask)
    points = 400
    rows = box.top + (np.arange(3 * points) + 0.5) * box.height / (3 * points)
    columns = box.left + (np.arange(5 * points) + 0.5) * box.width / (5 * points)
    seen = mask[np.ix_((rows * GRID / 512).astype(int), (columns * GRID / 384).astype(int))]
    counted = seen.reshape(3, points, 5, points).mean(axis=(1, 3))
    np.testing.assert_allclose(shares, counted, atol=0.01)


def test_lungs_all_over_the_frame_hold_every_cell_exactly() -> None:
    everywhere = np.ones((GRID, GRID), np.bool_)
    part = heatmap(np.random.default_rng(1).normal(size=(7, 7)), Box(3, 11, 499, 351))
    assert (lung_shares(part, everywhere) == 1.0).all()
    assert share_on_lungs(part, everywhere) == pytest.approx(1.0, abs=1e-15)


def test_a_map_that_is_all_threshold_speaks_for_nothing() -> None:
    assert share_on_lungs(heatmap(np.full((7, 7), 0.25), neutral=0.25), np.ones((GRID, GRID), np.bool_)) is None


def test_a_mask_of_another_grid_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\[128, 128\] over the whole frame, not \[64, 64\]"):
        share_on_lungs(heatmap(np.ones((7, 7))), np.ones((64, 64), np.bool_))
