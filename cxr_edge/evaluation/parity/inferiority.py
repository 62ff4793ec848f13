"""With labels: is the candidate, at most by a margin, worse than the reference?

A test that finds no difference proves nothing on few images. Non-inferiority turns the burden round: the whole paired
95 % interval of the difference must lie above the margin (ICH E9, 3.3.2; for reader studies Chen, Petrick and Sahiner,
Academic Radiology 2012), so that few images fail instead of passing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.parity.paired_proportions import Discordance, mcnemar, paired_difference
from cxr_edge.evaluation.predictions import Predictions
from cxr_edge.evaluation.roc import auc_difference, roc_auc
from cxr_edge.probability import Interval, OperatingPoint

__all__ = ["Inferiority", "inferiority"]


@dataclass(frozen=True, slots=True)
class Inferiority:
    """A candidate against the reference on labelled images; differences are candidate - reference.

    Attributes:
        reference_auc, candidate_auc: each with its own interval.
        auc: their difference with DeLong's paired interval, which has no length where both order all pairs alike.
        sensitivity, specificity: differences at the operating point with Tango's paired interval.
        abnormal_images, normal_images: how many images of each class there are.
        abnormal, normal: McNemar's test within each class, as information: nothing is decided by it.
    """

    reference_auc: Interval
    candidate_auc: Interval
    auc: Interval
    sensitivity: Interval
    specificity: Interval
    abnormal_images: int
    normal_images: int
    abnormal: Discordance
    normal: Discordance


def inferiority(reference: Predictions, candidate_logits: ArrayLike, operating_point: OperatingPoint) -> Inferiority:
    """Paired differences of AUC, sensitivity and specificity.

    Args:
        reference: labels, patients, and the reference's logits.
        candidate_logits: ``[n]`` of the same images.
        operating_point: decides for both.

    Raises:
        DatasetError: one class only, a class with one patient, or another number of logits.
    """
    labels, patients = reference.labels, reference.patients
    logits = np.asarray(candidate_logits, dtype=np.float64)
    if logits.shape != labels.shape:
        raise DatasetError(f"{labels.size} labels but candidate logits of shape {logits.shape}")
    difference = auc_difference(labels, logits, reference.logits, patients)
    truth = labels == 1
    before, after = operating_point.is_abnormal(reference.logits), operating_point.is_abnormal(logits)
    ids = np.arange(labels.size).astype(str) if patients is None else np.asarray(patients)
    return Inferiority(
        reference_auc=roc_auc(labels, reference.logits, patients),
        candidate_auc=roc_auc(labels, logits, patients),
        auc=difference,
        sensitivity=paired_difference(after[truth], before[truth], ids[truth]),
        specificity=paired_difference(~after[~truth], ~before[~truth], ids[~truth]),
        abnormal_images=int(truth.sum()),
        normal_images=int((~truth).sum()),
        abnormal=_discordance(after[truth], before[truth]),
        normal=_discordance(~after[~truth], ~before[~truth]),
    )


def _discordance(right: NDArray[np.bool_], right_before: NDArray[np.bool_]) -> Discordance:
    return mcnemar(int(np.sum(right & ~right_before)), int(np.sum(~right & right_before)))
