"""Figures of a cell as functions of how often each patient counts, for all bootstrap samples at once.

A figure is the mean over splits of the split's own: logits of different models have no common scale. All samples weigh
patients, not splits, and every cell is weighed alike, so that differences between cells are paired by patient. The
trained models stay as they are: what other training images would have made of the recipe shows in the spread over
splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.resampling import PatientBootstrap
from cxr_edge.evaluation import Predictions
from cxr_edge.probability import Interval

__all__ = [
    "Floats",
    "SplitOutcome",
    "accuracy",
    "auc",
    "interval_of",
    "mean_over_splits",
    "patient_weights",
    "ratio",
    "share",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SplitOutcome:
    """What a model said of its held-out images, and what it decided.

    Attributes:
        numbers: ``[n]`` of the images.
        abnormal: ``[n]`` the truth.
        logits: ``[n]``.
        called: ``[n]`` whether called abnormal, by a threshold that these images had no part in.
    """

    numbers: NDArray[np.intp]
    abnormal: NDArray[np.bool_]
    logits: Floats
    called: NDArray[np.bool_]


def patient_weights(labels: Sequence[int], patients: Sequence[int], used: Sequence[int], seed: int) -> Floats:
    """How often each image counts, ``[samples + 1, all images]``; once in the first sample, which is the data itself.

    Args:
        labels: of all images.
        patients: of all images.
        used: numbers of the images that any split predicts; the others never count.
        seed: of the bootstrap.
    """
    chosen = np.asarray(used)
    predictions = Predictions.of(
        np.asarray(labels)[chosen], np.zeros(len(chosen)), np.asarray(patients)[chosen].astype(str)
    )
    drawn = np.stack(list(PatientBootstrap.of(predictions, seed).samples(0)))
    weights = np.zeros((len(drawn) + 1, len(labels)))
    weights[0, chosen] = 1.0
    weights[1:, chosen] = drawn
    return weights


def auc(outcome: SplitOutcome, weights: Floats) -> Floats:
    """Area under the ROC curve of one split in every sample, ``[samples]``; ties count one half.

    NaN where the sample has only one class in this split, which happens where splits are small.
    """
    here, ill = weights[:, outcome.numbers], outcome.abnormal
    scores, others = outcome.logits[ill][:, None], outcome.logits[~ill][None, :]
    ordered = (scores > others) + 0.5 * (scores == others)
    pairs = here[:, ill].sum(axis=1) * here[:, ~ill].sum(axis=1)
    return ratio(((here[:, ill] @ ordered) * here[:, ~ill]).sum(axis=1), pairs)


def accuracy(outcome: SplitOutcome, weights: Floats) -> Floats:
    """Share of right decisions of one split in every sample, ``[samples]``."""
    return share(outcome, weights, outcome.called == outcome.abnormal, np.ones(len(outcome.numbers), np.bool_))


def share(outcome: SplitOutcome, weights: Floats, right: NDArray[np.bool_], among: NDArray[np.bool_]) -> Floats:
    """Share of right images among some of a split's in every sample, ``[samples]``; NaN where there are none."""
    here = weights[:, outcome.numbers]
    return ratio(here @ (right & among), here @ among)


def ratio(part: Floats, whole: Floats) -> Floats:
    """``part / whole``, NaN where the whole is nothing."""
    found = np.full(len(whole), np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def mean_over_splits(values: Sequence[Floats]) -> Floats:
    """Mean figure in every sample, ``[samples]``, of the splits that have one in it; NaN where none has."""
    stacked = np.stack(values)
    known = np.isfinite(stacked)
    return ratio(np.where(known, stacked, 0.0).sum(axis=0), known.sum(axis=0))


def interval_of(figures: Floats) -> Interval:
    """The figure of the data, the first, with the percentile interval of the others (Efron and Tibshirani 1993)."""
    low, high = np.nanquantile(figures[1:], (0.025, 0.975))
    value = float(figures[0])
    method = f"percentile bootstrap, {len(figures) - 1} samples of patients by class"
    return Interval(value, float(min(low, value)), float(max(high, value)), method)
