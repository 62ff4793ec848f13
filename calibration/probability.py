"""Fitting the temperature on out-of-fold logits, on the FP32 model; the one temperature then serves every precision.

Guo et al., ICML 2017: the temperature that minimises the negative log-likelihood. In the inverse temperature the
likelihood is convex with a monotone derivative, so bisection finds the minimum whatever the logits look like.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import (
    CalibrationError,
    CalibrationLine,
    Predictions,
    brier_score,
    calibration_line,
    expected_calibration_error,
)
from cxr_edge.probability import Interval, Temperature, calibrated_probability

__all__ = ["ProbabilityQuality", "TemperatureFit", "best_temperature", "fit_temperature", "probability_quality"]

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
"""Where the classes are separated by a threshold the best temperature is 0, where the logits carry nothing it is
infinite; a fit that ends on a bound says so."""

BISECTIONS = 200
"""Halvings of the interval of inverse temperatures; more than the doubles between its ends allow."""


@dataclass(frozen=True, slots=True)
class ProbabilityQuality:
    """How well the probabilities of one temperature mean what they say, on the data given.

    Attributes:
        negative_log_likelihood: mean per image, nats.
        brier: mean squared error.
        calibration_error: expected calibration error with its floor.
        line: calibration slope and intercept; None where the classes are separated.
    """

    negative_log_likelihood: float
    brier: Interval
    calibration_error: CalibrationError
    line: CalibrationLine | None


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """A fitted temperature and what it changed on the data it was fitted on.

    Attributes:
        temperature: the fit.
        at_bound: true when the minimum lies outside [0.05, 20]: the classes are separated, or the logits say nothing.
        images: how many it was fitted on.
        before: at temperature 1.
        after: at the fitted temperature.
    """

    temperature: Temperature
    at_bound: bool
    images: int
    before: ProbabilityQuality
    after: ProbabilityQuality

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping for the run's record."""
        return {**asdict(self), "temperature": self.temperature.value}


def fit_temperature(labels: ArrayLike, logits: ArrayLike, patients: ArrayLike | None = None) -> TemperatureFit:
    """The temperature with the least negative log-likelihood.

    Args:
        labels: ``[n]`` 0 or 1.
        logits: ``[n]`` out-of-fold: each from a model that has not seen the image.
        patients: ``[n]`` patient ids for the intervals, or None.

    Raises:
        DatasetError: lengths that differ, logits that are not finite, or one class only.
    """
    predictions = Predictions.of(labels, logits, patients)
    temperature = best_temperature(predictions)
    return TemperatureFit(
        temperature=temperature,
        at_bound=temperature.value in (MIN_TEMPERATURE, MAX_TEMPERATURE),
        images=predictions.images,
        before=probability_quality(predictions, Temperature(1.0)),
        after=probability_quality(predictions, temperature),
    )


def best_temperature(predictions: Predictions) -> Temperature:
    """The temperature with the least negative log-likelihood within bounds, and nothing about how good it is.

    Raises:
        DatasetError: one class only.
    """
    if not 0 < int(predictions.labels.sum()) < predictions.images:
        raise DatasetError(f"all {predictions.images} images have one class; a temperature needs both")
    return Temperature(1.0 / _best_inverse(predictions.labels.astype(np.float64), predictions.logits))


def probability_quality(predictions: Predictions, temperature: Temperature) -> ProbabilityQuality:
    """How well the probabilities at a temperature mean what they say on these predictions."""
    labels, scaled = predictions.labels, predictions.logits / temperature.value
    probabilities = calibrated_probability(predictions.logits, temperature)
    return ProbabilityQuality(
        negative_log_likelihood=float(np.mean(np.logaddexp(0.0, scaled) - labels * scaled)),
        brier=brier_score(labels, probabilities, predictions.patients),
        calibration_error=expected_calibration_error(labels, probabilities),
        line=calibration_line(labels, scaled, predictions.patients),
    )


def _best_inverse(labels: NDArray[np.float64], logits: NDArray[np.float64]) -> float:
    """The inverse temperature within bounds at which the likelihood's derivative changes sign."""

    def slope(inverse: float) -> float:
        return float(np.sum(logits * (calibrated_probability(logits * inverse, Temperature(1.0)) - labels)))

    low, high = 1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE
    if slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 0.5 * (low + high)
