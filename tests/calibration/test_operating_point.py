"""Choosing operating points."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import calibration.resampling
from calibration.operating_point import fixed_sensitivity_point, fixed_specificity_point, youden_point
from cxr_edge.errors import DatasetError, UsageError

LABELS = np.array([0, 0, 0, 1, 0, 1, 1, 1])
LOGITS = np.array([-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    """A hundred bootstrap samples: these tests are about the choice."""
    monkeypatch.setattr(calibration.resampling, "REPLICATES", 100)


def drawn(seed=0, n=300):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return labels, rng.normal(size=n) * 2 + 3 * labels - 1.5


def rates(labels, logits, threshold):
    called = logits >= threshold
    return called[labels == 1].mean(), (~called)[labels == 0].mean()


def test_youden_lies_midway_and_takes_the_more_sensitive_of_equals():
    # Thresholds -1.5 (sensitivity 1, specificity 3/4) and 0.5 (3/4, 1) have the same index.
    point = youden_point(LABELS, LOGITS)
    assert point.logit_threshold == -1.5
    assert (point.sensitivity.value, point.specificity.value) == (1.0, 0.75)
    assert point.name == "youden"


@pytest.mark.parametrize(
    ("target", "threshold", "figures"),
    [(1.0, -1.5, (1.0, 0.75)), (0.75, 0.5, (0.75, 1.0)), (0.7, 0.5, (0.75, 1.0)), (0.2, 0.5, (0.75, 1.0))],
)
def test_fixed_sensitivity_takes_the_best_specificity(target, threshold, figures):
    point = fixed_sensitivity_point(LABELS, LOGITS, target)
    assert point.logit_threshold == threshold
    assert (point.sensitivity.value, point.specificity.value) == figures


@pytest.mark.parametrize(
    ("target", "threshold", "figures"),
    [(1.0, 0.5, (0.75, 1.0)), (0.75, -1.5, (1.0, 0.75)), (0.5, -1.5, (1.0, 0.75))],
)
def test_fixed_specificity_takes_the_best_sensitivity(target, threshold, figures):
    point = fixed_specificity_point(LABELS, LOGITS, target)
    assert point.logit_threshold == threshold
    assert (point.sensitivity.value, point.specificity.value) == figures


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=25), st.floats(0.05, 1.0))
def test_recorded_figures_are_those_of_the_threshold_and_no_threshold_is_better(pairs, target):
    labels, logits = np.array([int(label) for label, _ in pairs]), np.array([float(logit) for _, logit in pairs])
    if labels.min() == labels.max():
        return
    every = [rates(labels, logits, threshold) for threshold in np.arange(-4.5, 5.0, 0.5)]
    youden = youden_point(labels, logits)
    sensitive = fixed_sensitivity_point(labels, logits, target)
    specific = fixed_specificity_point(labels, logits, target)
    for point in (youden, sensitive, specific):
        figures = (point.sensitivity.value, point.specificity.value)
        assert figures == pytest.approx(rates(labels, logits, point.logit_threshold))
    assert youden.sensitivity.value + youden.specificity.value >= max(map(sum, every)) - 1e-9
    best = max(specificity for sensitivity, specificity in every if sensitivity >= target - 1e-12)
    assert sensitive.specificity.value == pytest.approx(best)
    best = max(sensitivity for sensitivity, specificity in every if specificity >= target - 1e-12)
    assert specific.sensitivity.value == pytest.approx(best)


def test_ends_lie_half_a_logit_beyond_the_extremes():
    labels, logits = np.array([1, 0]), np.array([-1.0, 1.0])  # the wrong way round
    assert fixed_sensitivity_point(labels, logits, 1.0).logit_threshold == -1.5
    assert fixed_specificity_point(labels, logits, 1.0).logit_threshold == 1.5


def test_neighbouring_doubles_are_still_told_apart():
    low = 1.0
    high = math.nextafter(low, 2)
    point = youden_point([0, 1], [low, high])
    assert (point.label(low), point.label(high)) == ("normal", "abnormal")


def test_intervals_are_reproducible_and_hold_the_value():
    one, again = youden_point(*drawn(), seed=3), youden_point(*drawn(), seed=3)
    assert one == again
    assert one != youden_point(*drawn(), seed=4)
    for figure in (one.sensitivity, one.specificity):
        assert figure.low < figure.value < figure.high


def test_a_fixed_sensitivity_keeps_an_honest_width():
    """The target pins the value on the data that chose; the interval still shows what new data would do."""
    labels, logits = drawn()
    figure = fixed_sensitivity_point(labels, logits, 0.95).sensitivity
    binomial = 2 * 1.96 * math.sqrt(0.95 * 0.05 / labels.sum())
    assert figure.high - figure.low > binomial


def test_copies_of_images_of_the_same_patients_do_not_narrow_the_intervals():
    # Two levels of logits, so that every sample chooses the same threshold and only the scoring varies.
    labels = np.repeat([0, 1], 40)
    logits = np.where(np.arange(80) % 5 == 0, 1 - labels, labels).astype(float)
    copied = youden_point(np.tile(labels, 5), np.tile(logits, 5), np.tile(np.arange(80), 5)).sensitivity
    pretended = youden_point(np.tile(labels, 5), np.tile(logits, 5)).sensitivity
    assert copied.high - copied.low > 1.6 * (pretended.high - pretended.low)


def test_patients_with_images_of_both_classes_can_be_resampled():
    patients = np.repeat(np.arange(4), 2)
    point = youden_point(LABELS, LOGITS, patients)
    assert point.sensitivity.low <= point.sensitivity.value


@pytest.mark.parametrize("target", [0.0, -0.1, 1.1, math.nan])
def test_impossible_targets_are_refused(target):
    with pytest.raises(UsageError, match="is no sensitivity or specificity"):
        fixed_sensitivity_point(LABELS, LOGITS, target)
    with pytest.raises(UsageError):
        fixed_specificity_point(LABELS, LOGITS, target)


def test_one_class_is_refused():
    with pytest.raises(DatasetError, match="one class"):
        youden_point([1, 1], [0.0, 1.0])


def test_names_and_rules_say_what_was_asked():
    point = fixed_sensitivity_point(LABELS, LOGITS, 0.75)
    assert point.name == "sensitivity-0.75"
    assert "sensitivity of at least 0.75" in point.rule
    assert "optimistic" in point.rule
