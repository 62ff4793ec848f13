from __future__ import annotations

import numpy as np
import pytest

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.parity import Outputs, agreement
from cxr_edge.evaluation.parity.measures import map_correlations, same_peaks
from cxr_edge.probability import OperatingPoint, Temperature

POINT = OperatingPoint("zero", 0.0)
ONE = Temperature(1.0)


def maps(images: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(images, 7, 7)).astype(np.float32)


def outputs(logits: object, seed: int = 0) -> Outputs:
    values = np.asarray(logits, dtype=np.float64)
    return Outputs.of(values, maps(values.size, seed))


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def test_a_model_agrees_with_itself_completely() -> None:
    same = outputs([-2.0, 0.5, 3.0])
    found = agreement(same, same, ONE, POINT)
    assert (found.max_probability, found.rms_logit_share, found.flips) == (0.0, 0.0, ())
    assert (found.cam_median_r, found.cam_same_peak) == (pytest.approx(1.0), 1.0)


def test_figures_are_what_their_names_say() -> None:
    before, after = [-2.0, -0.5, 1.0, 4.0], [-1.9, 0.1, 1.0, 4.2]
    found = agreement(outputs(before), outputs(after), ONE, POINT)
    moved = [abs(sigmoid(a) - sigmoid(b)) for a, b in zip(after, before, strict=True)]
    assert found.max_probability == pytest.approx(max(moved))
    assert found.mean_probability == pytest.approx(np.mean(moved))
    assert found.p99_probability == pytest.approx(np.quantile(moved, 0.99))
    assert found.mean_logit == pytest.approx((0.1 + 0.6 + 0.2) / 4)
    assert found.rms_logit == pytest.approx(np.sqrt((0.01 + 0.36 + 0.04) / 4))
    assert found.rms_logit_share == pytest.approx(found.rms_logit / np.std(before))
    assert found.max_logit == pytest.approx(0.6)
    assert found.undecided_share == 0.75  # sigmoid(4) is above 0.9
    assert found.flips == (1,)
    assert found.flip_rate.value == 0.25
    assert found.flip_rate.high > 0.8  # one of four proves next to nothing


def test_no_temperature_changes_the_share_of_the_logits_or_the_flips() -> None:
    before, after = outputs([-2.0, -0.1, 1.0, 4.0]), outputs([-1.0, 0.1, 1.5, 3.0])
    cold, hot = (agreement(before, after, Temperature(t), POINT) for t in (1.0, 4.0))
    assert hot.max_probability < 0.5 * cold.max_probability
    assert (hot.rms_logit_share, hot.flips) == (cold.rms_logit_share, cold.flips)


def test_maps_are_compared_by_pattern_and_by_peak() -> None:
    before = maps(20)
    assert map_correlations(before, 3 * before + 1).min() == pytest.approx(1.0)
    assert map_correlations(before, -before).max() == pytest.approx(-1.0)
    moved = before.copy()
    moved[0, 0, 0] = 99.0
    assert same_peaks(before, moved).tolist() == [False] + [True] * 19


def test_a_map_without_contrast_agrees_only_with_its_like() -> None:
    flat, other, patterned = (
        np.full((1, 3, 3), 0.1, np.float32),
        np.full((1, 3, 3), 7.0, np.float32),
        maps(1)[:, :3, :3],
    )
    assert map_correlations(flat, other) == [1.0]
    assert map_correlations(flat, patterned) == [0.0]


def test_equal_reference_logits_give_a_difference_no_unit() -> None:
    with pytest.raises(DatasetError, match="has no unit"):
        agreement(outputs([1.0, 1.0]), outputs([1.0, 2.0]), ONE, POINT)


def test_outputs_of_other_images_are_not_compared() -> None:
    with pytest.raises(DatasetError, match="same images"):
        agreement(outputs([1.0, 2.0]), outputs([1.0, 2.0, 3.0]), ONE, POINT)


@pytest.mark.parametrize(
    ("logits", "cams", "says"),
    [
        ([], np.zeros((0, 7, 7)), "need"),
        ([1.0], np.zeros((2, 7, 7)), "need"),
        ([1.0], np.zeros((1, 7)), "need"),
        ([np.nan], np.zeros((1, 7, 7)), "NaN"),
        ([1.0], np.full((1, 7, 7), np.inf), "NaN"),
    ],
)
def test_outputs_that_are_none_are_refused(logits: list[float], cams: np.ndarray, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        Outputs.of(logits, cams)
