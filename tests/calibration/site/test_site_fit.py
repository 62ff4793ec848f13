from __future__ import annotations

import numpy as np
import pytest

from calibration.site import DEFAULT_RULES, MIN_IMAGES, SiteFit, advice_on, check_enough, fit_site
from calibration.site.temperature import MAX_SLOPE
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import Predictions
from cxr_edge.evaluation.parity import DEFAULT_TOLERANCES
from cxr_edge.probability import OperatingPoint, Temperature

OLD = (OperatingPoint("youden", 0.0),)


def drawn(
    images: int = 400, *, scale: float = 3.0, shift: float = 0.0, noise: float = 0.0, seed: int = 1
) -> Predictions:
    """Predictions whose true logit is ``logit / scale + shift``, diluted by ``noise`` (a share of random labels)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 2.0 * scale, images)
    chance = 1 / (1 + np.exp(-(logits / scale + shift)))
    return Predictions.of((rng.random(images) < chance).astype(int), logits)


def fitted(predictions: Predictions, temperature: float = 1.0) -> SiteFit:
    return fit_site(predictions, DEFAULT_RULES, Temperature(temperature), OLD)


def test_the_temperature_that_made_the_labels_is_found_and_mends_the_slope() -> None:
    fit = fitted(drawn())
    assert fit.temperature.value.value == pytest.approx(3.0, rel=0.2)
    assert fit.before.line is not None
    assert fit.temperature.quality.line is not None
    assert fit.before.line.slope.high < 0.5
    assert fit.temperature.quality.line.slope.low < 1 < fit.temperature.quality.line.slope.high
    assert fit.temperature.quality.brier.value < fit.before.brier.value


def test_a_shift_between_hospitals_is_seen_in_the_intercept_and_said() -> None:
    fit = fitted(drawn(shift=1.5))
    assert fit.temperature.quality.line is not None
    assert fit.temperature.quality.line.intercept.low > 0
    assert any("too low on the whole" in sentence and "cannot shift" in sentence for sentence in advice_on(fit))


def test_a_good_fit_on_many_images_gives_no_advice() -> None:
    assert advice_on(fitted(drawn(3000, scale=0.7), temperature=0.7)) == ()


def test_a_model_that_ranks_nothing_is_called_that() -> None:
    rng = np.random.default_rng(3)
    fit = fitted(Predictions.of(rng.integers(0, 2, 200), rng.normal(0, 1, 200)))
    assert "do not use it here" in advice_on(fit)[0]


@pytest.mark.parametrize(
    "predictions",
    [Predictions.of(1 - drawn().labels, drawn().logits), drawn(shift=3.0)],
    ids=["labels turned round", "shifted as a whole"],
)
def test_a_temperature_that_the_labels_contradict_is_not_used(predictions: Predictions) -> None:
    """The likelihood would have probabilities of one half for all, which hide what is wrong."""
    fit = fitted(predictions, temperature=2.5)
    assert fit.temperature.fitted.value > 2.5
    assert (fit.temperature.kept, fit.temperature.value.value) == ("contradicted", 2.5)
    assert fit.temperature.quality == fit.before
    assert any("no temperature is right here" in sentence for sentence in advice_on(fit))


def test_images_that_a_threshold_separates_fit_no_temperature_but_get_a_threshold() -> None:
    logits = np.concatenate([np.linspace(-5, -1, 30), np.linspace(1, 5, 30)])
    fit = fitted(Predictions.of([0] * 30 + [1] * 30, logits), temperature=2.5)
    assert (fit.temperature.kept, fit.temperature.value.value) == ("separated", 2.5)
    assert -1 < fit.points[0].logit_threshold < 1
    assert any("fit no temperature" in sentence for sentence in advice_on(fit))


def test_the_limit_is_that_of_the_parity_gate() -> None:
    assert all(limits.temperature_excess == MAX_SLOPE for limits in DEFAULT_TOLERANCES.values())


def test_wide_intervals_ask_for_more_images() -> None:
    advice = advice_on(fitted(drawn(60)))
    assert any("interval is" in sentence and "images of its class" in sentence for sentence in advice)


def test_figures_after_the_fit_are_worse_than_those_on_the_fitted_images_themselves() -> None:
    """Fitting and scoring on the same images flatters; averaged over samples, cross-fitting must not."""
    flattered, fair = [], []
    for seed in range(6):
        predictions = drawn(60, seed=seed)
        fit = fitted(predictions)
        called = fit.points[0].is_abnormal(predictions.logits)
        flattered.append(float(np.mean(called == (predictions.labels == 1))))
        fair.append(fit.points_after[0].decisions.accuracy.value)
    assert np.mean(fair) < np.mean(flattered) - 0.02


def test_an_operating_point_carries_the_cross_fitted_figures_and_says_so() -> None:
    fit = fitted(drawn())
    for point, figures in zip(fit.points, fit.points_after, strict=True):
        assert point.name == figures.name
        assert point.sensitivity is not None
        assert figures.decisions.sensitivity is not None
        assert point.sensitivity.value == figures.decisions.sensitivity.value
        assert "cross-fitted" in point.sensitivity.method
        assert "cross-fitted" in point.rule
        assert "optimistic" not in point.rule


def test_the_old_thresholds_are_measured_beside_the_new_ones() -> None:
    predictions = drawn()
    (before,) = fitted(predictions).points_before
    assert before.logit_threshold == 0.0
    assert before.decisions.accuracy.value == np.mean((predictions.logits >= 0) == (predictions.labels == 1))


@pytest.mark.parametrize(("normal", "abnormal"), [(500, 19), (19, 500), (0, 100), (100, 0)])
def test_too_few_images_of_a_class_are_refused_with_the_count_that_is_needed(normal: int, abnormal: int) -> None:
    with pytest.raises(DatasetError, match=f"{normal} normal and {abnormal} abnormal .* at least {MIN_IMAGES}"):
        check_enough([0] * normal + [1] * abnormal)
