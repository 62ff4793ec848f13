"""What a phantom should look like, as data, and what comes out of drawing one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError
from cxr_edge.records import Box, Radiograph

__all__ = ["Phantom", "PhantomSpec"]

MAX_SIDE = 65_535
"""Largest side in pixels: Rows and Columns of a DICOM image are 16-bit (PS3.3 C.7.6.3)."""

MAX_BORDER = 0.4
MAX_NOISE = 0.5
VIEWS = ("PA", "AP")


@dataclass(frozen=True, slots=True)
class PhantomSpec:
    """One phantom, fully determined: equal specs give equal pixels on one machine and numpy version.

    The seed draws the person (size, asymmetries, heart, ribs) and the noise, each from a stream of its own, so that two
    specs that differ in ``abnormal`` alone show the same person with and without opacities.

    Attributes:
        height, width: frame size in pixels, 1 to 65,535 each; the chest is stretched to fill the frame.
        bits_stored: significant bits, 1 to 16; stored values run from 0 to ``2**bits_stored - 1``.
        seed: a non-negative whole number.
        abnormal: adds one to three opacities (nodules, infiltrates) inside the visible lungs.
        border: share of the shorter side that the collimator blackens along each edge, 0 to 0.4.
        inverted: stores the complement (MONOCHROME1); the picture that is displayed stays the same.
        view: ``"PA"``, or ``"AP"`` with a larger heart and higher diaphragms, as at a bedside.
        noise: standard deviation of the quantum noise in mid grey, as a share of the grey scale, 0 to 0.5.

    Raises:
        UsageError: a value outside the ranges above.
    """

    height: int = 1024
    width: int = 1024
    bits_stored: int = 12
    seed: int = 0
    abnormal: bool = False
    border: float = 0.0
    inverted: bool = False
    view: Literal["PA", "AP"] = "PA"
    noise: float = 0.01

    def __post_init__(self) -> None:
        _require("height", self.height, 1, MAX_SIDE)
        _require("width", self.width, 1, MAX_SIDE)
        _require("bits_stored", self.bits_stored, 1, 16)
        _require("border", self.border, 0, MAX_BORDER)
        _require("noise", self.noise, 0, MAX_NOISE)
        if self.seed < 0:
            raise UsageError(f"phantom seed={self.seed} must not be negative")
        if self.view not in VIEWS:
            raise UsageError(f"phantom view={self.view!r} is unknown; use one of {', '.join(VIEWS)}")

    @property
    def max_value(self) -> int:
        """Largest stored value."""
        return (1 << self.bits_stored) - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type: uint8 up to 8 bits, uint16 above."""
        return np.dtype(np.uint8 if self.bits_stored <= 8 else np.uint16)


@dataclass(frozen=True, slots=True)
class Phantom:
    """A drawn phantom with what is known about it.

    Attributes:
        spec: what it was drawn from.
        radiograph: stored pixels ``[H, W]``, full-range window, polarity.
        lungs: ``[H, W]`` bool, true where a lung is projected clear of heart, mediastinum and diaphragm.
        opacities: where the opacities are, in pixels of the frame; empty for a normal phantom.
    """

    spec: PhantomSpec
    radiograph: Radiograph
    lungs: NDArray[np.bool_]
    opacities: tuple[Box, ...]


def _require(name: str, value: float, low: float, high: float) -> None:
    """Raise UsageError unless ``low <= value <= high`` (a NaN is refused too)."""
    if not low <= value <= high:
        raise UsageError(f"phantom {name}={value} is outside {low}..{high}")
