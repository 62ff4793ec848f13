"""Grids of codes and the two integer forms of normalisation and ReLU, against the real numbers they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.ranges import ChannelRange
from export.int8.network import Rectifier
from export.native_model.code_grids import affine_prologue, clamp_prologue, positive_grid, spanning_grid
from export.native_model.interpreter import prologue_codes, sixteenths

CODES = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 1, 8))

# Slopes of both signs, thresholds inside the codes and outside of them, a constant.
RECTIFIER = Rectifier.relu(
    "norm",
    slope=np.array([0.02, -0.02, 0.3, -1e-4, 0.02, 0.02, 0.0, 5.0]),
    offset=np.array([-1.0, 3.0, -70.3, 0.02, 0.7, -9.0, 0.4, -300.0]),
)


def rectified() -> np.ndarray:
    return np.maximum(RECTIFIER.slope * CODES[:, 0] + RECTIFIER.offset, 0.0)


def test_a_spanning_grid_has_both_ends_on_codes() -> None:
    spans = ChannelRange(np.array([-2.0, 0.5]), np.array([3.0, 0.75]))
    grid = spanning_grid(spans)
    np.testing.assert_allclose(grid.step * 0 + grid.zero, spans.low)
    np.testing.assert_allclose(grid.step * 255 + grid.zero, spans.high)


def test_a_positive_grid_has_zero_at_code_zero() -> None:
    grid = positive_grid(ChannelRange(np.array([0.0, 0.0]), np.array([5.1, 2.55])))
    assert grid.zero.tolist() == [0.0, 0.0]
    np.testing.assert_allclose(grid.step, [0.02, 0.01])


def test_a_dead_channel_gets_the_step_of_the_others() -> None:
    grid = spanning_grid(ChannelRange(np.array([0.0, 7.0, 0.0]), np.array([255.0, 7.0, 255.0])))
    assert grid.step.tolist() == [1.0, 1.0, 1.0]
    assert grid.zero[1] == 7.0


@pytest.mark.parametrize("rounded", [True, False])
def test_an_affine_prologue_is_within_a_rounding_of_the_rectifier(rounded: bool) -> None:
    prologue, grid = affine_prologue(RECTIFIER, rounded=rounded)
    if rounded:
        found = prologue_codes(prologue, CODES)[:, 0].astype(float)
        allowed = 0.5 + 1 / 16
    else:
        found = sixteenths(prologue, CODES)[:, 0] / 16
        allowed = 1 / 32
    error = np.abs(grid.step * found + grid.zero - rectified())
    assert (error <= allowed * grid.step + 1e-9).all()


def test_an_affine_prologue_uses_the_codes_that_it_can() -> None:
    prologue, _ = affine_prologue(RECTIFIER, rounded=True)
    used = prologue_codes(prologue, CODES)[:, 0].max(axis=0)
    assert used[:2].min() >= 240  # a multiplier in whole sixteenths costs up to a sixteenth of the range
    assert used[5] == used[6] == 0  # never above 0, and constant


def test_a_clamp_is_exact_where_the_rectifier_is_open_and_half_a_code_off_where_it_is_shut() -> None:
    prologue, grid = clamp_prologue(RECTIFIER)
    found = grid.step * prologue_codes(prologue, CODES)[:, 0] + grid.zero
    is_open = rectified() > 0
    far = np.abs(rectified()) > np.abs(RECTIFIER.slope)  # a code beside the threshold may fall on either side of it
    np.testing.assert_allclose(found[is_open & far], rectified()[is_open & far], atol=1e-9)
    assert (np.abs(found - rectified()) <= np.abs(RECTIFIER.slope) / 2 + 1e-9)[~is_open].all()
