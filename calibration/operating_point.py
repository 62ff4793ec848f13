"""Choosing the threshold of an operating point on out-of-fold logits.

Candidates lie midway between neighbouring different logits, and half a logit beyond both ends, so that small numerical
differences between engines flip as few decisions as possible. Of candidates that the rule likes equally, the one with
the higher sensitivity is taken (the higher specificity, where the sensitivities are equal too).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.resampling import PatientBootstrap
from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.evaluation import Predictions
from cxr_edge.probability import Interval, OperatingPoint

__all__ = [
    "Rule",
    "at_least_sensitivity",
    "at_least_specificity",
    "best_threshold",
    "fixed_sensitivity_point",
    "fixed_specificity_point",
    "largest_youden",
    "youden_point",
]

END_MARGIN = 0.5
"""Logits between an end candidate and the extreme logit."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Thresholds and what they give, from low to high threshold.

    Attributes:
        thresholds: ``[c]`` float64, rising.
        sensitivity: ``[c]`` falling from 1 to 0.
        specificity: ``[c]`` rising from 0 to 1.
    """

    thresholds: Floats
    sensitivity: Floats
    specificity: Floats


Rule = Callable[[Candidates], int]
"""Which of the candidates is taken."""


def youden_point(
    labels: ArrayLike, logits: ArrayLike, patients: ArrayLike | None = None, *, name: str = "youden", seed: int = 0
) -> OperatingPoint:
    """The operating point with the largest sensitivity + specificity - 1 (Youden, Cancer 1950).

    Args:
        labels: ``[n]`` 0 or 1.
        logits: ``[n]`` out-of-fold, raw.
        patients: ``[n]`` patient ids for the intervals, or None.
        name: of the operating point.
        seed: of the bootstrap behind the intervals.

    Raises:
        DatasetError: one class, lengths that differ, or logits that are not finite.
    """
    return _chosen(Predictions.of(labels, logits, patients), largest_youden, name, "largest Youden index", seed)


def fixed_sensitivity_point(
    labels: ArrayLike,
    logits: ArrayLike,
    target: float,
    patients: ArrayLike | None = None,
    *,
    name: str | None = None,
    seed: int = 0,
) -> OperatingPoint:
    """The operating point with the best specificity among those with at least the target sensitivity.

    Args:
        labels: ``[n]`` 0 or 1.
        logits: ``[n]`` out-of-fold, raw.
        target: least sensitivity, above 0, at most 1.
        patients: ``[n]`` patient ids for the intervals, or None.
        name: of the operating point; ``"sensitivity-0.95"`` and the like when None.
        seed: of the bootstrap behind the intervals.

    Raises:
        UsageError: a target outside (0, 1].
        DatasetError: one class, lengths that differ, or logits that are not finite.
    """
    rule = f"best specificity with sensitivity of at least {target:g}"
    predictions = Predictions.of(labels, logits, patients)
    return _chosen(predictions, at_least_sensitivity(target), name or f"sensitivity-{target:g}", rule, seed)


def fixed_specificity_point(
    labels: ArrayLike,
    logits: ArrayLike,
    target: float,
    patients: ArrayLike | None = None,
    *,
    name: str | None = None,
    seed: int = 0,
) -> OperatingPoint:
    """The operating point with the best sensitivity among those with at least the target specificity.

    Args:
        labels: ``[n]`` 0 or 1.
        logits: ``[n]`` out-of-fold, raw.
        target: least specificity, above 0, at most 1.
        patients: ``[n]`` patient ids for the intervals, or None.
        name: of the operating point; ``"specificity-0.95"`` and the like when None.
        seed: of the bootstrap behind the intervals.

    Raises:
        UsageError: a target outside (0, 1].
        DatasetError: one class, lengths that differ, or logits that are not finite.
    """
    rule = f"best sensitivity with specificity of at least {target:g}"
    predictions = Predictions.of(labels, logits, patients)
    return _chosen(predictions, at_least_specificity(target), name or f"specificity-{target:g}", rule, seed)


def best_threshold(predictions: Predictions, rule: Rule) -> float:
    """The threshold on the raw logit that a rule takes, and nothing about how good it is.

    Args:
        predictions: labels and logits.
        rule: `largest_youden`, or what `at_least_sensitivity` or `at_least_specificity` makes.

    Raises:
        DatasetError: one class.
    """
    _check_classes(predictions)
    candidates = _candidates(predictions, np.ones(predictions.images))
    return float(candidates.thresholds[rule(candidates)])


def _check_classes(predictions: Predictions) -> None:
    if not 0 < int(predictions.labels.sum()) < predictions.images:
        raise DatasetError(f"all {predictions.images} images have one class; an operating point needs both")


def _chosen(predictions: Predictions, rule: Rule, name: str, rule_text: str, seed: int) -> OperatingPoint:
    _check_classes(predictions)
    candidates = _candidates(predictions, np.ones(predictions.images))
    best = rule(candidates)
    sensitivity, specificity = _intervals(predictions, rule, seed, candidates, best)
    return OperatingPoint(
        name=name,
        logit_threshold=float(candidates.thresholds[best]),
        sensitivity=sensitivity,
        specificity=specificity,
        rule=f"{rule_text}, midway between neighbouring out-of-fold logits of {predictions.images} images; its "
        "figures come from the same images and are somewhat optimistic",
    )


def _candidates(predictions: Predictions, weights: Floats) -> Candidates:
    """Every threshold that makes a difference to images of positive weight.

    Args:
        predictions: labels and logits, ``[n]``.
        weights: ``[n]`` how often each image counts; both classes must have some.
    """
    used = weights > 0
    levels, index = np.unique(predictions.logits[used], return_inverse=True)
    abnormal = weights[used] * predictions.labels[used]
    positives = np.bincount(index.reshape(-1), weights=abnormal)
    negatives = np.bincount(index.reshape(-1), weights=weights[used] - abnormal)
    missed = np.append(0.0, np.cumsum(positives))  # abnormal images below each threshold
    spared = np.append(0.0, np.cumsum(negatives))
    middles = 0.5 * (levels[:-1] + levels[1:])
    # Between neighbouring doubles the middle rounds to one of them; only the upper keeps the lower one normal.
    middles = np.where(middles > levels[:-1], middles, levels[1:])
    thresholds = np.concatenate([[levels[0] - END_MARGIN], middles, [levels[-1] + END_MARGIN]])
    return Candidates(thresholds, 1.0 - missed / missed[-1], spared / spared[-1])


def largest_youden(candidates: Candidates) -> int:
    """The rule of the largest sensitivity + specificity - 1."""
    index = candidates.sensitivity + candidates.specificity
    # Equal indices differ by rounding; the first of them has the lowest threshold, hence the higher sensitivity.
    return int(np.flatnonzero(index >= index.max() - 1e-12)[0])


def at_least_sensitivity(target: float) -> Rule:
    """The rule of the best specificity among candidates with at least this sensitivity.

    Raises:
        UsageError: a target outside (0, 1].
    """
    _check_target(target)

    def best(candidates: Candidates) -> int:
        enough = np.flatnonzero(candidates.sensitivity >= target - 1e-12)
        specificity = candidates.specificity[enough]
        return int(enough[specificity == specificity.max()][0])

    return best


def at_least_specificity(target: float) -> Rule:
    """The rule of the best sensitivity among candidates with at least this specificity.

    Raises:
        UsageError: a target outside (0, 1].
    """
    _check_target(target)

    def best(candidates: Candidates) -> int:
        enough = np.flatnonzero(candidates.specificity >= target - 1e-12)
        sensitivity = candidates.sensitivity[enough]
        return int(enough[sensitivity == sensitivity.max()][-1])

    return best


def _check_target(target: float) -> None:
    if not (math.isfinite(target) and 0.0 < target <= 1.0):
        raise UsageError(f"target {target} is no sensitivity or specificity: give a number above 0, at most 1")


def _intervals(
    predictions: Predictions, rule: Rule, seed: int, candidates: Candidates, best: int
) -> tuple[Interval, Interval]:
    """Sensitivity and specificity with percentile intervals of choosing on one sample and scoring on another.

    Scoring the sample that chose would pin a fixed sensitivity to its target and give it an interval without width.
    """
    bootstrap = PatientBootstrap.of(predictions, seed)
    scored = []
    for choosing, scoring in zip(bootstrap.samples(0), bootstrap.samples(1), strict=True):
        drawn = _candidates(predictions, choosing)
        called = predictions.logits >= drawn.thresholds[rule(drawn)]
        scored.append(
            (_share(called, scoring * predictions.labels), _share(~called, scoring * (1 - predictions.labels)))
        )
    low, high = np.quantile(np.array(scored), (0.025, 0.975), axis=0)
    values = (candidates.sensitivity[best], candidates.specificity[best])
    method = f"bootstrap of choice and score, {bootstrap.replicates} samples of patients by class"
    sensitivity, specificity = (
        Interval(float(value), float(min(lo, value)), float(max(hi, value)), method)
        for value, lo, hi in zip(values, low, high, strict=True)
    )
    return sensitivity, specificity


def _share(flags: NDArray[np.bool_], weights: Floats) -> float:
    return float(flags @ weights / weights.sum())
