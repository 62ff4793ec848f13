"""From values to ranges: the extremes, percentiles, or least information lost, for each channel or the whole tensor."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import DatasetError, UsageError

__all__ = ["BINS", "RangeMethod", "entropy_ends", "percentile_ends"]

Kind = Literal["min-max", "percentile", "entropy"]
Granularity = Literal["channel", "tensor"]
Counts = NDArray[np.int64]
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]

BINS = 512
"""Bins of a channel's histogram, between its extremes."""

LEVELS = 128
"""Bins that are merged into: the positive half of INT8, as in TensorRT's entropy calibration (Migacz, GTC 2017)."""

SEARCH_STEP = 8
"""Bins between two thresholds that the entropy method tries."""


@dataclass(frozen=True, slots=True)
class RangeMethod:
    """How a range is taken from the values that a channel took.

    Attributes:
        kind: ``"min-max"``; ``"percentile"``, which leaves the outermost values out; ``"entropy"``, which cuts where
            the Kullback-Leibler divergence between values and rounded values is least.
        granularity: a range for each ``"channel"``, or one for the whole ``"tensor"`` (what plain tools do).
        percentile: per cent of the values that the percentile method keeps.
        margin: fraction of its width by which every range is widened at either end, for images that were not seen.
    """

    kind: Kind = "min-max"
    granularity: Granularity = "channel"
    percentile: float = 99.99
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("min-max", "percentile", "entropy"):
            raise UsageError(f"range method {self.kind!r} is unknown; use min-max, percentile or entropy")
        if self.granularity not in ("channel", "tensor"):
            raise UsageError(f"range granularity {self.granularity!r} is unknown; use channel or tensor")
        if not 50 < self.percentile <= 100:
            raise UsageError(f"percentile {self.percentile} is not above 50 and at most 100")
        if not 0 <= self.margin <= 1:
            raise UsageError(f"range margin {self.margin} is outside 0..1")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal method."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> RangeMethod:
        """The method that `to_json` wrote.

        Raises:
            DatasetError: unknown or missing keys.
            UsageError: values out of range.
        """
        try:
            return cls(**value)  # type: ignore[arg-type]
        except TypeError as error:
            raise DatasetError(f"the range method cannot be read by this version: {error}") from error


def percentile_ends(counts: Counts, low: NDArray[np.float64], high: NDArray[np.float64], percentile: float) -> Ends:
    """Low and high ends, each ``[C]``, between which ``percentile`` per cent of each channel's values lie.

    Half of what is left out lies on either side, except where a channel's smallest value is 0: after a ReLU only the
    upper end is cut. Precise to a bin.

    Args:
        counts: ``[C, BINS]`` histogram between the extremes.
        low: ``[C]`` smallest values.
        high: ``[C]`` largest values.
        percentile: above 50, at most 100.
    """
    total = counts.sum(axis=1, keepdims=True)
    left_out = (100 - percentile) / 100 * total
    below = np.where(low[:, None] == 0, 0, left_out / 2)
    above = left_out - below
    from_left, from_right = np.cumsum(counts, axis=1), np.cumsum(counts[:, ::-1], axis=1)
    first = np.argmax(from_left > below, axis=1)
    last = counts.shape[1] - 1 - np.argmax(from_right > above, axis=1)
    width = (high - low) / counts.shape[1]
    return low + first * width, low + (last + 1) * width


def entropy_ends(counts: Counts, low: NDArray[np.float64], high: NDArray[np.float64]) -> Ends:
    """Low and high ends, each ``[C]``, where cutting the upper end loses least information.

    For each threshold the values above it are clipped into the last bin, the rest is merged into `LEVELS` levels and
    spread again over the occupied bins; the threshold with the least divergence wins. The lower end is kept: most of
    these tensors follow a ReLU.

    Args:
        counts: ``[C, BINS]`` histogram between the extremes.
        low: ``[C]`` smallest values.
        high: ``[C]`` largest values.
    """
    bins = counts.shape[1]
    thresholds = np.arange(LEVELS, bins + 1, SEARCH_STEP)
    divergence = np.stack([_divergence(counts, int(cut)) for cut in thresholds], axis=1)
    # The last of equals: where nothing is lost by keeping everything, everything is kept.
    best = len(thresholds) - 1 - np.argmin(divergence[:, ::-1], axis=1)
    return low, low + (high - low) * thresholds[best] / bins


def _divergence(counts: Counts, cut: int) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of each channel from its own quantised form, cut after ``cut`` bins."""
    kept = counts[:, :cut].astype(np.float64)
    reference = kept.copy()
    reference[:, -1] += counts[:, cut:].sum(axis=1)
    starts = np.linspace(0, cut, LEVELS, endpoint=False).astype(np.intp)
    sizes = np.diff(np.append(starts, cut))
    occupied = (kept > 0).astype(np.float64)
    mass, members = np.add.reduceat(kept, starts, axis=1), np.add.reduceat(occupied, starts, axis=1)
    level = np.divide(mass, members, out=np.zeros_like(mass), where=members > 0)
    spread = np.repeat(level, sizes, axis=1) * occupied
    p = reference / np.maximum(reference.sum(axis=1, keepdims=True), 1)
    q = np.maximum(spread / np.maximum(spread.sum(axis=1, keepdims=True), 1), 1e-12)
    terms = np.zeros_like(p)
    np.log(p / q, out=terms, where=p > 0)
    return np.asarray((p * terms).sum(axis=1))
