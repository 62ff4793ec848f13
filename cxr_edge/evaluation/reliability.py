"""Whether probabilities mean what they say: reliability bins, expected calibration error, calibration line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_edge.evaluation.intervals import Z95
from cxr_edge.evaluation.patients import PatientIndex, independent, patient_index, proportion
from cxr_edge.probability import Interval, Temperature, calibrated_probability

__all__ = [
    "CalibrationError",
    "CalibrationLine",
    "ReliabilityBin",
    "calibration_line",
    "expected_calibration_error",
    "reliability_bins",
]

BINS = 10
"""Equal-width probability bins (Guo et al., ICML 2017, use 15; ten keep bins filled at a few hundred images)."""

SIMULATIONS = 1000
"""Simulated label sets behind the floor of the expected calibration error."""

NEWTON_STEPS = 100
"""More than enough: Newton's method on a concave likelihood converges in about ten."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Images whose probability lies in ``[low, high)``; the last bin includes 1.

    Attributes:
        low, high: edges of the bin.
        images: how many, at least 1.
        mean_probability: what was promised, 0 to 1.
        observed: the share that is abnormal.
    """

    low: float
    high: float
    images: int
    mean_probability: float
    observed: Interval


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """Expected calibration error and what perfectly calibrated probabilities would show on as many images.

    Attributes:
        value: weighted mean over bins of ``|observed - promised|``, 0 to 1.
        floor: its mean over label sets drawn from the probabilities themselves: never zero on finite data.
        floor_95: its 95th percentile over those sets; a value below it is no evidence of miscalibration.
        bins: equal-width bins.
    """

    value: float
    floor: float
    floor_95: float
    bins: int


@dataclass(frozen=True, slots=True)
class CalibrationLine:
    """Logistic regression of the label on the calibrated logit (Cox 1958); ideal is slope 1, intercept 0.

    Attributes:
        slope: below 1 means probabilities too extreme, above 1 too timid.
        intercept: on the logit scale, of the same fit; above 0 means probabilities too low on the whole.
    """

    slope: Interval
    intercept: Interval


def reliability_bins(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike | None = None, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """The filled bins of the reliability diagram, from low to high probability.

    Args:
        labels: ``[n]`` 0 or 1.
        probabilities: ``[n]`` in 0 to 1.
        groups: ``[n]`` patient ids, or None.
        bins: equal-width bins over 0 to 1.
    """
    truth, forecast = np.asarray(labels) == 1, np.asarray(probabilities, dtype=np.float64)
    patients, index = patient_index(groups, truth.size), _bin_index(forecast, bins)
    filled = []
    for number in np.unique(index):
        inside = index == number
        observed = proportion(truth[inside], patients[inside])
        assert observed is not None  # np.unique lists filled bins only
        promised = float(forecast[inside].mean())
        filled.append(ReliabilityBin(number / bins, (number + 1) / bins, int(inside.sum()), promised, observed))
    return tuple(filled)


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = BINS, seed: int = 0
) -> CalibrationError:
    """The expected calibration error with its simulated floor.

    The floor draws labels independently from the probabilities; with several images of a patient the true floor is
    somewhat higher.

    Args:
        labels: ``[n]`` 0 or 1.
        probabilities: ``[n]`` in 0 to 1.
        bins: equal-width bins over 0 to 1.
        seed: of the simulated labels.
    """
    truth, forecast = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    index, rng = _bin_index(forecast, bins), np.random.default_rng(seed)
    simulated = np.array(
        [_binned_gap(rng.random(forecast.size) < forecast, forecast, index, bins) for _ in range(SIMULATIONS)]
    )
    value = _binned_gap(truth, forecast, index, bins)
    return CalibrationError(value, float(simulated.mean()), float(np.quantile(simulated, 0.95)), bins)


def _bin_index(probabilities: Floats, bins: int) -> NDArray[np.intp]:
    return np.minimum((probabilities * bins).astype(np.intp), bins - 1)


def _binned_gap(labels: ArrayLike, probabilities: Floats, index: NDArray[np.intp], bins: int) -> float:
    gap = np.bincount(index, weights=np.asarray(labels) - probabilities, minlength=bins)
    return float(np.abs(gap).sum() / probabilities.size)


def calibration_line(
    labels: ArrayLike, calibrated_logits: ArrayLike, groups: ArrayLike | None = None
) -> CalibrationLine | None:
    """Calibration slope and intercept with Wald intervals, by Newton's method.

    Variances are the inverse information, or the sandwich between patients where patients repeat (Liang and Zeger
    1986).

    Args:
        labels: ``[n]`` 0 or 1.
        calibrated_logits: ``[n]`` ``logit / temperature``, the log odds of the calibrated probability.
        groups: ``[n]`` patient ids, or None.

    Returns:
        None where the likelihood has no maximum (one class, equal logits, or a threshold that separates the classes),
        and where all images are of one patient, so that nothing is known about the spread between patients.
    """
    truth, x = np.asarray(labels, dtype=np.float64), np.asarray(calibrated_logits, dtype=np.float64)
    patients = patient_index(groups, truth.size)
    if _separated(truth == 1, x) or not patients.any():
        return None
    # Fitting on the standardised logit keeps the 2x2 system well conditioned whatever the logits' scale.
    centre, scale = float(x.mean()), float(x.std())
    design = np.stack([np.ones_like(x), (x - centre) / scale], axis=1)
    beta, covariance = _logistic_fit(truth, design, patients)
    back = np.array([[1.0, -centre / scale], [0.0, 1.0 / scale]])
    (intercept, slope), errors = back @ beta, np.sqrt(np.diag(back @ covariance @ back.T))
    method = "Wald" if independent(patients) else "Wald, between patients"
    return CalibrationLine(
        slope=Interval(float(slope), float(slope - Z95 * errors[1]), float(slope + Z95 * errors[1]), method),
        intercept=Interval(
            float(intercept), float(intercept - Z95 * errors[0]), float(intercept + Z95 * errors[0]), method
        ),
    )


def _separated(truth: NDArray[np.bool_], x: Floats) -> bool:
    """True when the maximum-likelihood slope is infinite or undefined (Albert and Anderson 1984)."""
    if truth.all() or not truth.any() or x.min() == x.max():
        return True
    high, low = x[truth], x[~truth]
    return bool(low.max() <= high.min() or high.max() <= low.min())


def _logistic_fit(truth: Floats, design: Floats, patients: PatientIndex) -> tuple[Floats, Floats]:
    """Maximum-likelihood coefficients ``[2]`` and their covariance ``[2, 2]``."""
    beta = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        fitted = _sigmoid(design @ beta)
        information = design.T @ (design * (fitted * (1 - fitted))[:, None])
        step = np.linalg.solve(information, design.T @ (truth - fitted))
        beta = beta + _shortened(step, beta, truth, design)
        if float(np.abs(step).max()) < 1e-10:
            break
    inverse = np.linalg.inv(information)
    if independent(patients):
        return beta, inverse
    residuals = design * (truth - fitted)[:, None]
    scores = np.stack([np.bincount(patients, weights=column) for column in residuals.T], axis=1)
    k = scores.shape[0]
    return beta, k / (k - 1) * inverse @ (scores.T @ scores) @ inverse


def _shortened(step: Floats, beta: Floats, truth: Floats, design: Floats) -> Floats:
    """The Newton step, halved until the likelihood does not fall: the full step overshoots near separation."""
    before = _log_likelihood(beta, truth, design)
    for _ in range(30):
        if _log_likelihood(beta + step, truth, design) >= before - 1e-12 * abs(before):
            break
        step = step / 2
    return step


def _log_likelihood(beta: Floats, truth: Floats, design: Floats) -> float:
    x = design @ beta
    return float(np.sum(truth * x - np.logaddexp(0.0, x)))


def _sigmoid(x: Floats) -> Floats:
    return calibrated_probability(x, Temperature(1.0))
