"""How far a candidate's outputs are from the FP32 reference's, on images that need no labels.

Differences of probabilities alone can be made small by a large temperature, or by images whose probabilities are
saturated; so differences of logits stand beside them, with the share of images whose probability is neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.intervals import clopper_pearson
from cxr_edge.evaluation.parity.outputs import Outputs
from cxr_edge.probability import Interval, OperatingPoint, Temperature, calibrated_probability

__all__ = ["UNDECIDED", "Agreement", "agreement", "map_correlations", "same_peaks"]

UNDECIDED = (0.1, 0.9)
"""Probabilities strictly between these are far enough from 0 and 1 to move: parity is measured where it is hard."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Label-free agreement of a candidate with the reference over N images; differences are candidate - reference.

    Attributes:
        images: N.
        mean_probability, p99_probability, max_probability: of the absolute difference of calibrated probabilities;
            the percentile interpolates linearly between order statistics.
        mean_logit: mean difference of the logits: a shift that all images share.
        rms_logit: root mean square difference of the logits.
        max_logit: largest absolute difference of a logit.
        logit_spread: standard deviation of the reference's logits over the images, the unit of `rms_logit_share`.
        rms_logit_share: ``rms_logit / logit_spread``; no temperature changes it.
        undecided_share: share of images to which the reference gives a probability between 0.1 and 0.9.
        flips: positions of the images whose decision at the operating point changes, rising.
        flip_rate: their share with its Clopper-Pearson interval, whose upper end bounds the true rate.
        cam_median_r: median over images of the Pearson correlation between the two maps.
        cam_same_peak: share of images in which the candidate's map peaks where the reference's does.
    """

    images: int
    mean_probability: float
    p99_probability: float
    max_probability: float
    mean_logit: float
    rms_logit: float
    max_logit: float
    logit_spread: float
    rms_logit_share: float
    undecided_share: float
    flips: tuple[int, ...]
    flip_rate: Interval
    cam_median_r: float
    cam_same_peak: float


def agreement(
    reference: Outputs, candidate: Outputs, temperature: Temperature, operating_point: OperatingPoint
) -> Agreement:
    """Every label-free figure for two models' outputs of the same images in the same order.

    Args:
        reference: of the FP32 model.
        candidate: of the model in question.
        temperature: turns both models' logits into probabilities.
        operating_point: decides for both.

    Raises:
        DatasetError: other images or map sizes, or reference logits that are all equal, so that nothing gives a
            difference its unit.
    """
    spread = _checked_spread(reference, candidate)
    shift = candidate.logits - reference.logits
    before = calibrated_probability(reference.logits, temperature)
    moved = np.abs(calibrated_probability(candidate.logits, temperature) - before)
    flipped = operating_point.is_abnormal(reference.logits) != operating_point.is_abnormal(candidate.logits)
    rms = float(np.sqrt(np.mean(shift**2)))
    return Agreement(
        images=reference.images,
        mean_probability=float(moved.mean()),
        p99_probability=float(np.quantile(moved, 0.99)),
        max_probability=float(moved.max()),
        mean_logit=float(shift.mean()),
        rms_logit=rms,
        max_logit=float(np.abs(shift).max()),
        logit_spread=spread,
        rms_logit_share=rms / spread,
        undecided_share=float(np.mean((before > UNDECIDED[0]) & (before < UNDECIDED[1]))),
        flips=tuple(int(position) for position in np.flatnonzero(flipped)),
        flip_rate=clopper_pearson(int(flipped.sum()), reference.images),
        cam_median_r=float(np.median(map_correlations(reference.cams, candidate.cams))),
        cam_same_peak=float(same_peaks(reference.cams, candidate.cams).mean()),
    )


def map_correlations(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> Floats:
    """Pearson correlation of each pair of maps over their cells, ``[N]``.

    A map without contrast has no pattern to correlate: two such count as 1, one beside a map with a pattern as 0.

    Args:
        reference: ``[N, h, w]``.
        candidate: ``[N, h, w]``.
    """
    first, second = (_centred(maps) for maps in (reference, candidate))
    power, other = (first**2).sum(axis=1), (second**2).sum(axis=1)
    flat = (power == 0.0) | (other == 0.0)
    correlations: Floats = (first * second).sum(axis=1) / np.where(flat, 1.0, np.sqrt(power * other))
    return np.where(flat, (power == other).astype(np.float64), correlations)


def same_peaks(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each candidate map is at its maximum in the cell where the reference map has its own, ``[N]``.

    Args:
        reference: ``[N, h, w]``.
        candidate: ``[N, h, w]``; where several cells share its maximum, any of them counts.
    """
    flat = candidate.reshape(len(candidate), -1)
    peaks = reference.reshape(len(reference), -1).argmax(axis=1)
    same: NDArray[np.bool_] = flat[np.arange(len(flat)), peaks] == flat.max(axis=1)
    return same


def _centred(maps: NDArray[np.float32]) -> Floats:
    """Maps as rows in double precision, each without its mean: ``[N, h * w]``."""
    rows = maps.reshape(len(maps), -1).astype(np.float64)
    centred: Floats = rows - rows.mean(axis=1, keepdims=True)
    # Subtracting a mean leaves rounding noise in a constant map, which must not pass for contrast.
    centred[rows.min(axis=1) == rows.max(axis=1)] = 0.0
    return centred


def _checked_spread(reference: Outputs, candidate: Outputs) -> float:
    if reference.cams.shape != candidate.cams.shape:
        raise DatasetError(
            f"the reference has maps of shape {reference.cams.shape}, the candidate of {candidate.cams.shape}: "
            "parity compares outputs of the same images"
        )
    spread = float(reference.logits.std())
    if not spread > 0.0:
        raise DatasetError(
            f"the reference gives {reference.images} image(s) the same logit, so a difference has no unit: "
            "measure parity on several different images"
        )
    return spread
