"""The ROC curve and the area under it, with DeLong's interval.

DeLong, DeLong and Clarke-Pearson, Biometrics 1988; its computation by midranks in O(n log n): Sun and Xu, IEEE Signal
Processing Letters 2014; several images of a patient: Obuchowski, Biometrics 1997, which is DeLong's formula where
every patient has one image; the interval on the logit scale: Qin and Hotilovac, Stat. Methods Med. Res. 2008.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.intervals import Z95, clopper_pearson
from cxr_edge.evaluation.patients import PatientIndex, independent, patient_index
from cxr_edge.probability import Interval

__all__ = ["AucEstimates", "RocCurve", "auc_difference", "auc_estimates", "midranks", "roc_auc", "roc_curve"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RocCurve:
    """The ROC curve: point i is reached by calling abnormal every score ``>= threshold[i]``.

    Attributes:
        false_positive_rate, sensitivity: ``[points]`` float64 from (0, 0) to (1, 1), never falling.
        threshold: ``[points]`` float64, falling; the first is +inf.
    """

    false_positive_rate: Floats
    sensitivity: Floats
    threshold: Floats


@dataclass(frozen=True, slots=True)
class AucEstimates:
    """Areas under the curves of several scores of the same images.

    Attributes:
        auc: ``[k]`` float64 in 0 to 1; ties count one half.
        covariance: ``[k, k]`` float64; NaN where a class has fewer than two patients.
        pairs: patients in the smaller class, hence pairs (abnormal, normal) that share no patient.
        independent: true when every patient has one image.
    """

    auc: Floats
    covariance: Floats
    pairs: int
    independent: bool


def roc_auc(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None) -> Interval:
    """Area under the ROC curve with DeLong's interval on the logit scale, which stays within 0 to 1.

    At 55 + 55 images and a true AUC of 0.95 it covers 95 % of simulated samples; the plain interval covers 90 %.

    Where the variance cannot be estimated (an area of exactly 0 or 1, one patient in a class) the interval is
    Clopper-Pearson's for as many trials as there are disjoint pairs: n disjoint pairs of patients are independent and
    each is ordered rightly with probability AUC, so all being right has at most the probability AUC^n.

    Args:
        labels: ``[n]`` 0 (normal) or 1 (abnormal).
        scores: ``[n]`` higher means more abnormal.
        groups: ``[n]`` patient ids; None when every image has a patient of its own.

    Raises:
        DatasetError: only one class, or lengths that differ.
    """
    estimates = auc_estimates(labels, np.asarray(scores, dtype=np.float64)[None, :], groups)
    auc, variance = float(estimates.auc[0]), float(estimates.covariance[0, 0])
    if not (variance > 0.0 and 0.0 < auc < 1.0):
        exact = clopper_pearson(auc * estimates.pairs, estimates.pairs)
        return Interval(auc, exact.low, exact.high, f"Clopper-Pearson, {estimates.pairs} disjoint pairs")
    centre = math.log(auc / (1 - auc))
    half = Z95 * math.sqrt(variance) / (auc * (1 - auc))
    low, high = (1 / (1 + math.exp(-max(end, -700.0))) for end in (centre - half, centre + half))
    method = "DeLong, logit scale" if estimates.independent else "DeLong-Obuchowski between patients, logit scale"
    return Interval(auc, low, high, method)


def auc_difference(
    labels: ArrayLike, scores: ArrayLike, other_scores: ArrayLike, groups: ArrayLike | None = None
) -> Interval:
    """AUC of ``scores`` minus AUC of ``other_scores`` on the same images, with DeLong's paired normal interval.

    Args:
        labels: ``[n]`` 0 or 1.
        scores: ``[n]`` higher means more abnormal.
        other_scores: ``[n]`` of the same images.
        groups: ``[n]`` patient ids, or None.

    Raises:
        DatasetError: one class, one patient in a class, or lengths that differ.
    """
    both = np.stack([np.asarray(scores, dtype=np.float64), np.asarray(other_scores, dtype=np.float64)])
    estimates = auc_estimates(labels, both, groups)
    contrast = np.array([1.0, -1.0])
    variance = float(contrast @ estimates.covariance @ contrast)
    if math.isnan(variance):
        raise DatasetError("a class has only one patient: the difference of two AUCs has no interval")
    difference = float(contrast @ estimates.auc)
    half = Z95 * math.sqrt(max(variance, 0.0))
    return Interval(difference, difference - half, difference + half, "DeLong, paired")


def auc_estimates(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike | None = None) -> AucEstimates:
    """The areas under k ROC curves and their covariance.

    Args:
        labels: ``[n]`` 0 or 1.
        scores: ``[k, n]`` k scores of the same images.
        groups: ``[n]`` patient ids, or None.

    Raises:
        DatasetError: one class only, or lengths that differ.
    """
    truth = np.asarray(labels) == 1
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != truth.size:
        raise DatasetError(f"{truth.size} labels but scores of shape {values.shape}: need [k, n]")
    if truth.all() or not truth.any():
        raise DatasetError(
            f"all {truth.size} images have one class; an AUC needs both: check the label column and the filter"
        )
    patients = patient_index(groups, truth.size)
    placed = np.stack([_placements(truth, row) for row in values])
    auc = placed[:, truth].mean(axis=1)
    covariance = _covariance(placed - auc[:, None], truth, patients)
    pairs = min(np.unique(patients[truth]).size, np.unique(patients[~truth]).size)
    return AucEstimates(auc, covariance, pairs, independent(patients))


def _placements(truth: NDArray[np.bool_], scores: Floats) -> Floats:
    """Share of the other class that each image is ordered rightly against, ``[n]``; their mean by class is the AUC."""
    ranks = midranks(scores)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    placed = np.empty(scores.size)
    placed[truth] = (ranks[truth] - midranks(scores[truth])) / negatives
    placed[~truth] = 1.0 - (ranks[~truth] - midranks(scores[~truth])) / positives
    return placed


def _covariance(centred: Floats, truth: NDArray[np.bool_], patients: PatientIndex) -> Floats:
    """Obuchowski's covariance from placements minus AUC, ``[k, k]``."""
    abnormal, normal = _patient_shares(centred, truth, patients), _patient_shares(centred, ~truth, patients)
    covariance: Floats = (
        _unbiased(np.unique(patients[truth]).size) * (abnormal @ abnormal.T)
        + _unbiased(np.unique(patients[~truth]).size) * (normal @ normal.T)
        + _unbiased(np.unique(patients).size) * (abnormal @ normal.T + normal @ abnormal.T)
    )
    return covariance


def _patient_shares(centred: Floats, chosen: NDArray[np.bool_], patients: PatientIndex) -> Floats:
    """What each patient's chosen images add to the mean over all chosen images, ``[k, patients]``."""
    count = int(patients.max()) + 1
    sums = [np.bincount(patients[chosen], weights=row[chosen], minlength=count) for row in centred]
    return np.stack(sums) / float(np.count_nonzero(chosen))


def _unbiased(patients: int) -> float:
    return patients / (patients - 1) if patients > 1 else float("nan")


def midranks(values: Floats) -> Floats:
    """Ranks from 1, ties sharing the mean of theirs, ``[n]`` float64."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_ranks: Floats = np.asarray(last - (counts - 1) / 2, dtype=np.float64)
    return mean_ranks[inverse.reshape(-1)]


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The empirical ROC curve; equal scores are one step.

    Args:
        labels: ``[n]`` 0 or 1.
        scores: ``[n]``.

    Raises:
        DatasetError: one class only.
    """
    truth = np.asarray(labels) == 1
    if truth.all() or not truth.any():
        raise DatasetError(f"all {truth.size} images have one class; a ROC curve needs both")
    levels, inverse = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)
    inverse = inverse.reshape(-1)
    hits = np.cumsum(np.bincount(inverse, weights=truth)) / truth.sum()
    alarms = np.cumsum(np.bincount(inverse, weights=~truth)) / (~truth).sum()
    return RocCurve(np.append(0.0, alarms), np.append(0.0, hits), np.append(np.inf, -levels))
