"""Is this a usable frontal chest X-ray? The first, cheap checks: shape, and what is left of the picture as displayed.

A refusal always says why, with the value measured and the limit. The checks look at a grid of at most 128 x 128
pixels, as displayed through the window, so they take a fraction of a millisecond whatever the frame's size.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import BundleError
from cxr_edge.records import Radiograph, Window

__all__ = ["GateReason", "GateReport", "GateSpec", "check"]

ReasonCode = Literal[
    "too small", "aspect", "constant", "low contrast", "over-exposed", "under-exposed", "no lungs found"
]
"""The last is not found here: it is said by the search for the lungs, where a network is shown them alone."""

GRID = 128
"""Rows and columns of the grid of pixels that is looked at, at most."""


@dataclass(frozen=True, slots=True)
class GateSpec:
    """Thresholds of the gate, as data: they travel in the bundle's manifest.

    The defaults refuse none of the 2,154 frontal radiographs (549 Shenzhen, 1,605 NIH) that they were checked on; the
    least contrast among those was 0.37, the most black 0.50.

    Attributes:
        min_short_side: fewest pixels of the shorter side; below the network's input it would see invented detail.
        max_aspect: largest ratio of the longer to the shorter side.
        min_contrast: smallest spread, from the 2nd to the 98th percentile, of display values in [0, 1].
        max_saturated: largest fraction of pixels at either end of the grey scale. Large areas outside the body or
            the collimator do display black or white, so it is generous.
    """

    min_short_side: int = 224
    max_aspect: float = 2.5
    min_contrast: float = 0.1
    max_saturated: float = 0.9

    def __post_init__(self) -> None:
        if self.min_short_side < 1 or not self.max_aspect >= 1:
            raise BundleError(f"gate section: short side {self.min_short_side} or aspect {self.max_aspect} is below 1")
        if not (0 <= self.min_contrast <= 1 and 0 < self.max_saturated <= 1):
            raise BundleError(
                f"gate section: contrast {self.min_contrast} or saturation {self.max_saturated} is outside 0..1"
            )

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal spec."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GateSpec:
        """The spec that `to_json` wrote; thresholds that are left out take their defaults.

        Raises:
            BundleError: an unknown key, or a value of the wrong type or range. An unknown check is refused because
                leaving it out would let through what the bundle's maker wanted stopped.
        """
        try:
            return cls(**value)
        except TypeError as error:
            raise BundleError(f"gate section cannot be read by this version: {error}") from error


@dataclass(frozen=True, slots=True)
class GateReason:
    """Why an image was refused: a code, the value measured, and the limit that it breaks."""

    code: ReasonCode
    measured: float
    limit: float
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate found; it passes when there is no reason against."""

    reasons: tuple[GateReason, ...] = ()

    @property
    def passed(self) -> bool:
        """True when nothing speaks against the image."""
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping: ``passed`` and ``reasons`` (each code, measured, limit, message)."""
        return {"passed": self.passed, "reasons": [asdict(reason) for reason in self.reasons]}


def check(radiograph: Radiograph, spec: GateSpec | None = None) -> GateReport:
    """Every reason for which the image is no usable frontal chest X-ray, as far as these first checks can tell.

    Args:
        radiograph: the decoded frame.
        spec: thresholds; None means the defaults.
    """
    spec = spec or GateSpec()
    return GateReport((*_geometry(radiograph, spec), *_exposure(sorted_grid(radiograph), radiograph, spec)))


def sorted_grid(radiograph: Radiograph) -> NDArray[Any]:
    """Stored values of a regular grid of pixels in ascending order, without padding. One-dimensional.

    Display values rise (or, inverted, fall) with stored ones, so everything that is measured can be read off the
    stored values' order; sorting these few is faster than one percentile of the displayed ones.
    """
    step_y, step_x = -(-radiograph.height // GRID), -(-radiograph.width // GRID)
    # A stable sort of 8- or 16-bit integers is a radix sort: its time does not depend on the picture.
    stored = np.sort(radiograph.pixels[::step_y, ::step_x], axis=None, kind="stable")
    if radiograph.padding is None:
        return stored
    first, last = radiograph.padding
    return np.concatenate((stored[: _count_below(stored, first)], stored[_count_below(stored, last + 1) :]))


def _count_below(ascending: NDArray[Any], value: int) -> int:
    """How many of the ascending stored values are less than a value, which need not be one that pixels can have."""
    return bisect_left(ascending, value)


def _geometry(radiograph: Radiograph, spec: GateSpec) -> Iterator[GateReason]:
    short, long = sorted((radiograph.height, radiograph.width))
    if short < spec.min_short_side:
        message = f"the short side has {short} pixels; at least {spec.min_short_side} are needed"
        yield GateReason("too small", short, spec.min_short_side, message)
    aspect = long / short
    if aspect > spec.max_aspect:
        message = f"the sides are {aspect:.2f} to 1; a chest X-ray is at most {spec.max_aspect:g} to 1"
        yield GateReason("aspect", aspect, spec.max_aspect, message)


def _exposure(stored: NDArray[Any], radiograph: Radiograph, spec: GateSpec) -> Iterator[GateReason]:
    """Reasons in the displayed values. One fault gives one reason: a constant image is not also called flat.

    Args:
        stored: as `sorted_grid` gives them.
        radiograph: gives window and polarity.
        spec: thresholds.
    """
    lo, hi = radiograph.window.lo, radiograph.window.hi
    at_lo, at_hi = _count_below(stored, lo + 1), stored.size - _count_below(stored, hi)
    if stored.size in (0, at_lo, at_hi) or stored[0] == stored[-1]:
        yield GateReason("constant", 0.0, spec.min_contrast, "the image is constant: every pixel shows the same grey")
        return
    black, white = (count / stored.size for count in ((at_hi, at_lo) if radiograph.inverted else (at_lo, at_hi)))
    # More dose blackens a radiograph, so black is over-exposed and white is under-exposed.
    if black > spec.max_saturated:
        yield _saturated("over-exposed", "black", black, spec)
    elif white > spec.max_saturated:
        yield _saturated("under-exposed", "white", white, spec)
    else:
        low, high = (_shown_percentile(stored, percent, radiograph.window) for percent in (2, 98))
        contrast = (high - low) / (hi - lo)
        if contrast < spec.min_contrast:
            message = f"the contrast is {contrast:.3f} of the grey scale; at least {spec.min_contrast:g} is needed"
            yield GateReason("low contrast", contrast, spec.min_contrast, message)


def _shown_percentile(ascending: NDArray[Any], percent: int, window: Window) -> float:
    """A percentile of the values as the window clamps them, in stored units; linear between two neighbours."""
    position = (ascending.size - 1) * percent / 100
    below = int(position)
    first, last = (min(max(int(value), window.lo), window.hi) for value in (ascending[below], ascending[below + 1]))
    return first + (last - first) * (position - below)


def _saturated(code: ReasonCode, end: str, fraction: float, spec: GateSpec) -> GateReason:
    message = f"{fraction:.1%} of the pixels display {end}; at most {spec.max_saturated:.0%} may"
    return GateReason(code, fraction, spec.max_saturated, message)
