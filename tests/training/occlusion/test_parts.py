"""Which cells belong to which part of the chest, and what hiding them leaves."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_lungs import drawn

from cxr_edge.errors import UsageError
from cxr_edge.preprocess import PreprocessSpec
from cxr_edge.regions.cells import GRID
from training.occlusion.hiding import WAYS, hidden
from training.occlusion.parts import BORDER, CORNER, PARTS, RIM, grown, parts_of, right_and_left

TOUCHING = ((64, 46, 40, 20), (64, 82, 40, 20))


def test_lungs_and_what_is_outside_them_make_up_the_frame() -> None:
    parts = parts_of(drawn())
    assert tuple(parts) == PARTS
    assert np.array_equal(parts["lungs"], ~parts["outside the lungs"])
    assert np.array_equal(parts["lungs"], parts["right lung"] | parts["left lung"])


def test_the_patients_right_lung_stands_at_the_left_of_the_picture() -> None:
    right, left = right_and_left(drawn())
    assert np.nonzero(right)[1].max() < GRID // 2 < np.nonzero(left)[1].min()


def test_lungs_that_touch_are_divided_at_their_waist() -> None:
    lungs = drawn(TOUCHING)
    right, left = right_and_left(lungs)
    assert np.array_equal(right | left, lungs)
    assert not (right & left).any()
    assert abs(int(right.sum()) - int(left.sum())) < 0.1 * lungs.sum()


def test_between_above_and_below_lie_where_they_say() -> None:
    lungs = drawn()
    parts = parts_of(lungs)
    rows, columns = np.nonzero(lungs)
    between_rows, between_columns = np.nonzero(parts["between the lungs"])
    assert between_columns.min() > columns.min()
    assert between_columns.max() < columns.max()
    assert between_rows.min() >= rows.min()
    assert np.nonzero(parts["below the lungs"])[0].min() > rows.max()
    assert np.nonzero(parts["above the lungs"])[0].max() < rows.min()


def test_border_and_corners_have_the_size_that_is_documented() -> None:
    parts = parts_of(drawn(((64, 64, 20, 20),)))
    assert parts["frame's border"].sum() == GRID**2 - (GRID - 2 * BORDER) ** 2
    assert parts["upper corners"].sum() == 2 * CORNER**2


def test_a_rim_around_the_lungs_counts_as_lung() -> None:
    one = np.zeros((GRID, GRID), np.bool_)
    one[0, 64] = True
    around = grown(one, RIM)
    assert around[RIM, 64]
    assert around[0, 64 - RIM]
    assert not around[RIM, 65]
    assert not around[RIM + 1, 64]
    assert one.sum() == 1


def test_without_lungs_there_are_no_parts() -> None:
    with pytest.raises(UsageError, match="none"):
        parts_of(np.zeros((GRID, GRID), np.bool_))


@pytest.mark.parametrize("way", WAYS)
def test_hiding_changes_the_part_alone(way: str) -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (56, 56)).astype(np.float32)
    before = image.copy()
    part = np.zeros((56, 56), np.bool_)
    part[10:40, 10:40] = True
    changed = hidden(image, part, way, PreprocessSpec(56, 56))
    assert changed.dtype == np.float32
    assert np.array_equal(changed[~part], image[~part])
    assert np.array_equal(image, before)
    assert changed[part].std() < 0.5 * image[part].std()


def test_black_is_the_specs_black_and_a_blur_keeps_how_bright_the_part_is() -> None:
    spec = PreprocessSpec(56, 56, mean=0.25, std=0.5)
    image = np.random.default_rng(0).uniform(0.2, 1.0, (56, 56)).astype(np.float32)
    everything = np.ones((56, 56), np.bool_)
    assert np.all(hidden(image, everything, "black", spec) == np.float32(-0.5))
    assert hidden(image, everything, "blurred", spec).mean() == pytest.approx(image.mean(), abs=0.01)
