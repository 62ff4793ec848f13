"""How well lungs were found: overlap of masks and boxes per image, and means with intervals over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_edge.lung_shape import snapped
from cxr_edge.lungs import Lungs
from cxr_edge.regions.cells import CellBox, cells_around

__all__ = ["LungScore", "MeanInterval", "box_iou", "dice", "mean_interval", "score"]

RESAMPLES = 2000
"""Bootstrap samples of an interval."""


@dataclass(frozen=True, slots=True)
class LungScore:
    """One image's result against its true mask; 0 in every overlap where the lungs were not found.

    Attributes:
        found: whether the localiser believed what it saw.
        dice: Dice overlap of the masks, 0 to 1, on the 128 x 128 grid.
        box_iou: intersection over union of the boxes around the masks, before snapping.
        snapped_iou: the same of both boxes after snapping, which is what a crop is made of.
    """

    found: bool
    dice: float
    box_iou: float
    snapped_iou: float


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean over images with its 95 % percentile-bootstrap interval, and the distribution's middle and lower end."""

    mean: float
    low: float
    high: float
    median: float
    percentile_5: float
    least: float


def score(lungs: Lungs, true: NDArray[np.bool_]) -> LungScore:
    """What was found against the true mask ``[128, 128]``, which has at least one cell."""
    true_box, found_box = cells_around(true), cells_around(lungs.mask)
    if not lungs.found or lungs.box is None or found_box is None or true_box is None:
        return LungScore(False, 0.0, 0.0, 0.0)
    return LungScore(True, dice(lungs.mask, true), box_iou(found_box, true_box), box_iou(lungs.box, snapped(true_box)))


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Twice the common area over the sum of areas, 0 to 1 (Dice 1945); 1 for two empty masks."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def box_iou(one: CellBox, other: CellBox) -> float:
    """Common area over joint area of two boxes, 0 to 1."""
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    width = min(one.right, other.right) - max(one.left, other.left)
    common = max(height, 0) * max(width, 0)
    return common / (one.height * one.width + other.height * other.width - common)


def mean_interval(values: Sequence[float], seed: int = 0) -> MeanInterval:
    """The mean of one value an image; images are resampled, each being of another patient.

    Args:
        values: at least one.
        seed: of the resampling.
    """
    array = np.asarray(values, np.float64)
    random = np.random.default_rng(seed)
    means = [float(array[random.integers(0, len(array), len(array))].mean()) for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return MeanInterval(
        mean=float(array.mean()),
        low=float(low),
        high=float(high),
        median=float(np.median(array)),
        percentile_5=float(np.percentile(array, 5)),
        least=float(array.min()),
    )
