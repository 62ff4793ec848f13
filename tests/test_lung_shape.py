"""Parts of a map, what is believed to be lungs, and the box around them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label as reference_label
from tiny_lungs import PAIR, drawn, logits

from cxr_edge.lung_shape import SNAP, implausible, labelled, lung_components, snapped
from cxr_edge.regions.cells import GRID, CellBox, cells_around


@settings(deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_parts_are_those_that_scikit_image_finds(mask: np.ndarray) -> None:
    labels, areas = labelled(mask)
    expected = reference_label(mask, connectivity=1)
    pairs = set(zip(labels.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(labels)) == len(np.unique(expected))  # one name for each part
    assert (labels > 0).tolist() == mask.tolist()
    np.testing.assert_array_equal(areas, np.bincount(labels.ravel(), minlength=len(areas) + 1)[1:])


def test_a_part_that_closes_only_further_down_is_one_part() -> None:
    mask = np.zeros((6, 7), np.bool_)
    mask[:, 1] = mask[:, 5] = mask[5, 1:6] = True
    labels, areas = labelled(mask)
    assert areas.tolist() == [int(mask.sum())]
    assert set(labels[mask]) == {1}


def test_the_two_largest_parts_are_kept_and_their_holes_filled() -> None:
    lungs = drawn()
    noisy = lungs.copy()
    noisy[60:64, 38:42] = False  # a hole
    noisy[2:6, 2:6] = noisy[120:126, 60:70] = True  # specks
    np.testing.assert_array_equal(lung_components(noisy), lungs)


def test_a_speck_is_no_second_lung() -> None:
    one = drawn([(64, 40, 40, 18)])
    speckled = one.copy()
    speckled[10:14, 100:104] = True
    np.testing.assert_array_equal(lung_components(speckled), one)


def test_a_bay_that_reaches_the_edge_of_the_picture_is_no_hole() -> None:
    mask = np.zeros((GRID, GRID), np.bool_)
    mask[40:90, 0:30] = True
    mask[50:60, 0:20] = False
    np.testing.assert_array_equal(lung_components(mask), mask)


def test_an_empty_map_has_no_parts() -> None:
    empty = np.zeros((GRID, GRID), np.bool_)
    assert labelled(empty)[1].size == 0
    assert not lung_components(empty).any()
    assert implausible(empty, logits(empty)) == "no cell looks like lung"


def test_a_pair_of_lungs_is_believed() -> None:
    assert implausible(drawn(), logits(drawn())) is None


def test_lungs_that_touch_in_the_middle_are_believed() -> None:
    touching = drawn([(64, 45, 40, 22), (64, 83, 40, 22)])
    assert len(labelled(touching)[1]) == 1
    assert implausible(touching, logits(touching)) is None


@pytest.mark.parametrize(
    ("ellipses", "reason"),
    [
        ([PAIR[0]], "only one lung"),
        ([(64, 64, 20, 20)], "only one lung"),
        ([(24, 40, 20, 18), (100, 88, 20, 18)], "not side by side"),
        ([(30, 60, 24, 40), (95, 64, 24, 40)], "not side by side"),
        ([(64, 50, 8, 8), (64, 74, 8, 8)], "lungs would"),
        ([(64, 64, 80, 80)], "would cover 97%"),
        ([(64, 30, 14, 28), (64, 96, 14, 30)], "times as high as wide"),
    ],
    ids=["one", "a disc", "diagonal", "above each other", "tiny", "everything", "flat"],
)
def test_what_is_no_pair_of_lungs_is_told_with_the_value_seen(
    ellipses: list[tuple[int, int, int, int]], reason: str
) -> None:
    mask = drawn(ellipses)
    found = implausible(mask, logits(mask))
    assert found is not None
    assert reason in found


def test_lungs_that_are_larger_below_are_upside_down() -> None:
    pear = drawn([(44, 40, 20, 14), (80, 40, 24, 20), (44, 88, 20, 14), (80, 88, 24, 20)])
    turned = np.rot90(pear, 2)
    assert implausible(turned, logits(turned)) is None
    assert "as if upside down" in str(implausible(pear, logits(pear)))


def test_a_network_that_guesses_is_not_believed() -> None:
    assert implausible(drawn(), logits(drawn(), strength=0.3)) == "the localiser is 57% sure"


def test_boxes_grow_outwards_to_the_grid() -> None:
    assert snapped(CellBox(9, 16, 50, 33)) == CellBox(8, 16, 52, 36)
    assert snapped(CellBox(0, 0, GRID, GRID)) == CellBox(0, 0, GRID, GRID)


@settings(deadline=None)
@given(st.integers(0, GRID - 1), st.integers(0, GRID - 1), st.integers(1, GRID), st.integers(1, GRID))
def test_a_snapped_box_holds_the_box_and_is_at_most_a_step_larger_on_each_side(
    top: int, left: int, height: int, width: int
) -> None:
    box = CellBox(top, left, min(height, GRID - top), min(width, GRID - left))
    grown = snapped(box)
    assert grown.top <= box.top and grown.bottom >= box.bottom and grown.left <= box.left and grown.right >= box.right
    assert max(box.top - grown.top, grown.bottom - box.bottom, box.left - grown.left, grown.right - box.right) < SNAP
    assert snapped(grown) == grown


def test_cells_added_or_lost_at_the_border_seldom_move_the_snapped_box() -> None:
    """One cell more or less moves a box only where an edge lies beside a line of the grid."""
    random = np.random.default_rng(3)
    pair = drawn([(66, 44, 40, 18), (65, 83, 40, 18)])  # edges two cells inside the lines of the grid
    boxes = set()
    for _ in range(20):
        rolled = np.roll(pair, tuple(random.integers(-1, 2, 2)), axis=(0, 1))
        found = cells_around(rolled)
        assert found is not None
        boxes.add(snapped(found))
    assert len(boxes) == 1
