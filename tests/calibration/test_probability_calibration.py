"""Fitting the temperature."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calibration.probability import MAX_TEMPERATURE, MIN_TEMPERATURE, fit_temperature
from cxr_edge.errors import DatasetError


def overconfident(seed, n, factor):
    """Labels drawn from calibrated logits, and those logits times a factor."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=n)
    return (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(int), factor * logits


def likelihood(labels, logits, temperature):
    scaled = logits / temperature
    return float(np.mean(np.logaddexp(0, scaled) - labels * scaled))


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_a_known_temperature_is_found(factor):
    fit = fit_temperature(*overconfident(0, 20_000, factor))
    assert fit.temperature.value == pytest.approx(factor, rel=0.05)
    assert not fit.at_bound


def test_no_other_temperature_has_a_better_likelihood():
    labels, logits = overconfident(1, 440, 2.5)
    fit = fit_temperature(labels, logits)
    best = likelihood(labels, logits, fit.temperature.value)
    assert fit.after.negative_log_likelihood == pytest.approx(best, abs=1e-12)
    for other in np.geomspace(MIN_TEMPERATURE, MAX_TEMPERATURE, 500):
        assert likelihood(labels, logits, other) >= best - 1e-12


def test_the_fit_improves_overconfident_probabilities():
    fit = fit_temperature(*overconfident(2, 1000, 3.0))
    assert fit.after.negative_log_likelihood < fit.before.negative_log_likelihood
    assert fit.after.brier.value < fit.before.brier.value
    assert fit.after.calibration_error.value < fit.before.calibration_error.value
    assert abs(fit.after.line.slope.value - 1) < abs(fit.before.line.slope.value - 1)


def test_separated_classes_end_on_the_lower_bound_and_say_so():
    fit = fit_temperature([0, 0, 1, 1], [-2.0, -1.0, 1.0, 2.0])
    assert fit.at_bound
    assert fit.temperature.value == pytest.approx(MIN_TEMPERATURE)
    assert fit.after.line is None


def test_logits_that_point_the_wrong_way_end_on_the_upper_bound():
    labels, logits = overconfident(3, 200, 1.0)
    fit = fit_temperature(labels, -logits)
    assert fit.at_bound
    assert fit.temperature.value == pytest.approx(MAX_TEMPERATURE)


def test_huge_logits_do_not_overflow():
    labels, logits = overconfident(4, 200, 1.0)
    assert fit_temperature(labels, 1e4 * logits).at_bound


def test_the_record_is_strict_json():
    record = json.loads(json.dumps(fit_temperature(*overconfident(5, 100, 2.0)).to_json(), allow_nan=False))
    assert record["images"] == 100
    assert record["after"]["brier"]["method"] == "normal"


def test_one_class_is_refused():
    with pytest.raises(DatasetError, match="one class"):
        fit_temperature([1, 1], [0.0, 1.0])
