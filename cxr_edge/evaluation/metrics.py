"""How good decisions and probabilities are, each figure with a 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.patients import mean_interval, patient_index, proportion
from cxr_edge.probability import Interval

__all__ = ["Confusion", "DecisionMetrics", "brier_score", "decision_metrics"]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Images by truth and decision; positive means abnormal."""

    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int


@dataclass(frozen=True, slots=True)
class DecisionMetrics:
    """What decisions at one operating point are worth; a figure is None where its denominator is zero.

    Attributes:
        confusion: the counts behind the figures.
        sensitivity: share of abnormal images called abnormal.
        specificity: share of normal images called normal.
        ppv: share of images called abnormal that are; holds for the prevalence of these data only.
        npv: share of images called normal that are; holds for the prevalence of these data only.
        accuracy: share of right decisions.
    """

    confusion: Confusion
    sensitivity: Interval | None
    specificity: Interval | None
    ppv: Interval | None
    npv: Interval | None
    accuracy: Interval


def decision_metrics(labels: ArrayLike, decisions: ArrayLike, groups: ArrayLike | None = None) -> DecisionMetrics:
    """Sensitivity, specificity, predictive values and accuracy with their intervals.

    Args:
        labels: ``[n]`` 0 (normal) or 1 (abnormal).
        decisions: ``[n]`` true where called abnormal.
        groups: ``[n]`` patient ids; None when every image has a patient of its own.

    Raises:
        DatasetError: no images, or lengths that differ.
    """
    truth, called = np.asarray(labels) == 1, np.asarray(decisions, dtype=bool)
    if truth.size == 0 or truth.shape != called.shape:
        raise DatasetError(f"{truth.size} labels and {called.size} decisions: need as many of each, at least one")
    patients = patient_index(groups, truth.size)
    accuracy = proportion(called == truth, patients)
    assert accuracy is not None  # there is at least one image
    return DecisionMetrics(
        confusion=Confusion(
            true_positive=int(np.sum(truth & called)),
            false_negative=int(np.sum(truth & ~called)),
            true_negative=int(np.sum(~truth & ~called)),
            false_positive=int(np.sum(~truth & called)),
        ),
        sensitivity=proportion(called[truth], patients[truth]),
        specificity=proportion(~called[~truth], patients[~truth]),
        ppv=proportion(truth[called], patients[called]),
        npv=proportion(~truth[~called], patients[~called]),
        accuracy=accuracy,
    )


def brier_score(labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike | None = None) -> Interval:
    """Mean squared difference of probability and label (Brier 1950), 0 (best) to 1, with a normal-theory interval.

    Args:
        labels: ``[n]`` 0 or 1.
        probabilities: ``[n]`` of being abnormal.
        groups: ``[n]`` patient ids, or None.

    Raises:
        DatasetError: no images, or lengths that differ.
    """
    truth, forecast = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    if truth.size == 0 or truth.shape != forecast.shape:
        raise DatasetError(f"{truth.size} labels and {forecast.size} probabilities: need as many, at least one")
    return mean_interval((forecast - truth) ** 2, patient_index(groups, truth.size), 0.0, 1.0)
