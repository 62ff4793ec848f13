"""Calibration line, expected calibration error and reliability bins."""

from __future__ import annotations

import numpy as np
import pytest

from cxr_edge.evaluation.reliability import calibration_line, expected_calibration_error, reliability_bins


def calibrated(seed, n=400, spread=2.0):
    """Logits and labels drawn from their probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=spread, size=n)
    return (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(int), logits


def test_line_equals_an_unpenalised_logistic_regression():
    linear_model = pytest.importorskip("sklearn.linear_model")
    labels, logits = calibrated(0)
    theirs = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logits[:, None], labels)
    line = calibration_line(labels, logits)
    assert line.slope.value == pytest.approx(theirs.coef_[0, 0], abs=1e-5)
    assert line.intercept.value == pytest.approx(theirs.intercept_[0], abs=1e-5)


def test_known_miscalibration_is_measured():
    labels, logits = calibrated(1, n=50_000)
    line = calibration_line(labels, 2 * logits - 1)  # twice too extreme, and shifted
    assert line.slope.value == pytest.approx(0.5, abs=0.02)
    assert line.intercept.value == pytest.approx(0.5, abs=0.04)


def test_line_intervals_cover_one_and_zero_for_calibrated_probabilities():
    lines = [calibration_line(*calibrated(seed, n=150)) for seed in range(300)]
    assert sum(line.slope.low <= 1 <= line.slope.high for line in lines) / 300 >= 0.92
    assert sum(line.intercept.low <= 0 <= line.intercept.high for line in lines) / 300 >= 0.92


def test_copies_of_images_do_not_make_the_line_more_certain():
    labels, logits = calibrated(2, n=200)
    once = calibration_line(labels, logits).slope
    copied = calibration_line(np.tile(labels, 4), np.tile(logits, 4), np.tile(np.arange(200), 4)).slope
    assert copied.value == pytest.approx(once.value, abs=1e-9)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.2)
    assert copied.method == "Wald, between patients"


@pytest.mark.parametrize(
    ("labels", "logits"),
    [
        ([0, 0, 1, 1], [-2.0, -1.0, 1.0, 2.0]),
        ([1, 1, 0, 0], [-2.0, -1.0, 1.0, 2.0]),
        ([0, 0, 1, 1], [-2.0, 0.0, 0.0, 2.0]),
        ([1, 1, 1], [0.0, 1.0, 2.0]),
        ([0, 1, 0], [0.5, 0.5, 0.5]),
    ],
    ids=["separated", "separated backwards", "touching", "one class", "equal logits"],
)
def test_without_a_maximum_of_the_likelihood_there_is_no_line(labels, logits):
    assert calibration_line(labels, logits) is None


def test_nearly_separated_classes_and_huge_logits_still_converge():
    labels, logits = np.array([0] * 50 + [1] * 50), np.arange(-50.0, 50.0)
    labels[[45, 54]] = 1, 0
    assert calibration_line(labels, logits).slope.value > 0.1
    large = calibration_line(labels, 1000 * logits)
    assert 1000 * large.slope.value == pytest.approx(calibration_line(labels, logits).slope.value, rel=1e-6)


def test_calibration_error_equals_its_definition():
    labels = np.array([0, 0, 1, 1, 1])
    probabilities = np.array([0.05, 0.15, 0.15, 0.95, 1.0])
    # bins: 0.05 | 0.15, 0.15 | 0.95, 1.0 (the last bin includes 1)
    expected = (1 * 0.05 + 2 * abs(0.5 - 0.15) + 2 * abs(1 - 0.975)) / 5
    assert expected_calibration_error(labels, probabilities).value == pytest.approx(expected, abs=1e-15)


def test_calibrated_probabilities_stay_at_the_floor_and_miscalibrated_ones_do_not():
    labels, logits = calibrated(3, n=110)
    fine = expected_calibration_error(labels, 1 / (1 + np.exp(-logits)))
    assert 0.02 < fine.floor < fine.floor_95 < 0.2
    assert fine.value < fine.floor_95
    wrong = expected_calibration_error(labels, 1 / (1 + np.exp(-5 * logits)))
    assert wrong.value > wrong.floor_95


def test_floor_is_exceeded_by_one_in_twenty_calibrated_sets():
    exceeded = 0
    for seed in range(60):
        labels, logits = calibrated(seed, n=100)
        error = expected_calibration_error(labels, 1 / (1 + np.exp(-logits)))
        exceeded += error.value > error.floor_95
    assert exceeded <= 9  # binomial(60, 0.05) is above 9 once in 1,500


def test_the_floor_is_reproducible_and_falls_with_more_images():
    small, large = calibrated(4, n=100), calibrated(4, n=10_000)
    errors = [expected_calibration_error(labels, 1 / (1 + np.exp(-logits))) for labels, logits in (small, large, small)]
    assert errors[0] == errors[2]
    assert errors[1].floor < errors[0].floor / 5


def test_bins_hold_every_image_once_with_their_means():
    labels, logits = calibrated(5)
    probabilities = 1 / (1 + np.exp(-logits))
    bins = reliability_bins(labels, probabilities)
    assert sum(part.images for part in bins) == 400
    assert all(part.low <= part.mean_probability < part.high for part in bins)
    assert sum(part.images * part.observed.value for part in bins) == pytest.approx(labels.sum())


def test_empty_bins_are_left_out_and_one_belongs_to_the_last():
    bins = reliability_bins([0, 1], [0.0, 1.0])
    assert [(part.low, part.high, part.images) for part in bins] == [(0.0, 0.1, 1), (0.9, 1.0, 1)]


def test_images_of_one_patient_give_no_line():
    labels, logits = calibrated(6, n=40)
    assert calibration_line(labels, logits, ["p"] * 40) is None
