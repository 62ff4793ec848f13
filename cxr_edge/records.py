"""Frozen records that cross a stage boundary. Shapes, units and ranges stand in the docstrings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UnsupportedInputError, UsageError

__all__ = ["Box", "Frame", "PIXEL_DTYPES", "Radiograph", "Window"]

PIXEL_DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.int8), np.dtype(np.int16))
"""Stored pixel types that preprocessing accepts; everything a detector or a DICOM file holds fits one of them."""

INT32 = np.iinfo(np.int32)

MAX_WINDOW_SPAN = 65_535
"""Largest ``hi - lo`` of a window: sums of 16-bit spans stay exact in every implementation."""

Pixels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Window:
    """A display window ``[lo, hi]`` in stored pixel units, both ends inclusive.

    Values at or below ``lo`` display at one end of the grey scale, values at or above ``hi`` at the other.

    Raises:
        UsageError: ``hi <= lo``, a span above 65,535, or ends outside 32 bits.
    """

    lo: int
    hi: int

    def __post_init__(self) -> None:
        if self.lo < INT32.min or self.hi > INT32.max:
            raise UsageError(f"window [{self.lo}, {self.hi}] is not usable: its ends must fit 32 bits")
        if not 0 < self.hi - self.lo <= MAX_WINDOW_SPAN:
            raise UsageError(
                f"window [{self.lo}, {self.hi}] is not usable: hi must exceed lo by 1 to {MAX_WINDOW_SPAN} stored units"
            )


@dataclass(frozen=True, slots=True)
class Box:
    """A box in pixels of the stored frame: rows ``[top, top + height)``, columns ``[left, left + width)``."""

    top: int
    left: int
    height: int
    width: int

    def clipped(self, frame_height: int, frame_width: int) -> Box:
        """The part of this box that lies inside a frame of the given size, in pixels.

        Raises:
            UsageError: nothing of the box lies inside the frame.
        """
        top, left = max(self.top, 0), max(self.left, 0)
        bottom = min(self.top + self.height, frame_height)
        right = min(self.left + self.width, frame_width)
        if bottom <= top or right <= left:
            raise UsageError(f"crop {self} lies outside the {frame_height}x{frame_width} frame")
        return Box(top, left, bottom - top, right - left)


@dataclass(frozen=True, slots=True)
class Frame:
    """How to read the numbers of a raw detector frame that is handed over as an array.

    ``bits_stored`` is the number of significant bits (8-16). ``inverted`` is true when *low* stored values display
    white (MONOCHROME1). ``window`` is in stored units; None means the full ``bits_stored`` range. ``padding`` is an
    inclusive range of stored values that are no measurement (outside the collimator) and display black.

    Raises:
        UsageError: a field of another type, or a padding whose ends are swapped or outside 32 bits.
    """

    bits_stored: int
    inverted: bool = False
    window: Window | None = None
    padding: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not _is_whole(self.bits_stored):
            raise UsageError(f"bits_stored={self.bits_stored!r} is not a whole number")
        if not (self.window is None or isinstance(self.window, Window)):
            raise UsageError(f"window must be a Window or None, not {type(self.window).__name__}")
        _check_padding(self.padding)


@dataclass(frozen=True, slots=True)
class Radiograph:
    """One decoded grey frame: stored pixels and how they display. Nothing is resampled or rescaled yet.

    Attributes:
        pixels: ``[H, W]`` stored values, one of ``PIXEL_DTYPES``, C-contiguous; treated as read-only.
        window: display window in stored units; step 2 of preprocessing clamps and maps with it.
        inverted: true when low stored values display white (MONOCHROME1 xor a negative RescaleSlope).
        padding: inclusive range of stored values that display black whatever the polarity, or None.
        source: short technical description such as ``"png"`` or ``"dicom 1.2.840.10008.1.2.4.90"``.
        window_rule: where the window came from: ``"dicom"``, ``"bits stored"`` or ``"caller"``.
        warnings: things a reader of the result should know, one sentence each, without patient data.

    Raises:
        UsageError: pixels that are not two-dimensional or empty, or a padding that is no range of stored values.
        UnsupportedInputError: pixels of another type.
    """

    pixels: Pixels
    window: Window
    inverted: bool = False
    padding: tuple[int, int] | None = None
    source: str = "array"
    window_rule: Literal["dicom", "bits stored", "caller"] = "caller"
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.size == 0:
            raise UsageError(f"a radiograph is one non-empty grey frame [H, W]; got shape {self.pixels.shape}")
        if self.pixels.dtype not in PIXEL_DTYPES:
            raise UnsupportedInputError(
                f"pixels are {self.pixels.dtype}; supported are {', '.join(str(d) for d in PIXEL_DTYPES)}"
            )
        _check_padding(self.padding)
        if not self.pixels.flags.c_contiguous:
            object.__setattr__(self, "pixels", np.ascontiguousarray(self.pixels))

    @property
    def height(self) -> int:
        """Rows of the stored frame, pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of the stored frame, pixels."""
        return int(self.pixels.shape[1])

    @classmethod
    def from_frame(cls, pixels: Pixels, frame: Frame) -> Radiograph:
        """The radiograph that a raw detector frame stands for.

        Args:
            pixels: ``[H, W]`` of a type in ``PIXEL_DTYPES``.
            frame: how to read it; without a window the full BitsStored range is displayed.

        Raises:
            UsageError: no array and `Frame`, a wrong shape, or ``bits_stored`` outside what the pixel type holds.
            UnsupportedInputError: another pixel type.
        """
        _check_raw_frame(pixels, frame)
        if not 1 <= frame.bits_stored <= 8 * pixels.dtype.itemsize:
            raise UsageError(f"bits_stored={frame.bits_stored} does not fit {pixels.dtype} pixels")
        window = frame.window or full_range(frame.bits_stored, signed=pixels.dtype.kind == "i")
        return cls(
            pixels=pixels,
            window=window,
            inverted=frame.inverted,
            padding=frame.padding,
            source="array",
            window_rule="caller" if frame.window else "bits stored",
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_raw_frame(pixels: object, frame: object) -> None:
    if not (isinstance(pixels, np.ndarray) and isinstance(frame, Frame)):
        given = f"{type(pixels).__name__} and {type(frame).__name__}"
        raise UsageError(f"a raw frame is a NumPy array and a Frame that describes it; got {given}")


def _check_padding(padding: object) -> None:
    if padding is None:
        return
    if not (isinstance(padding, tuple) and len(padding) == 2 and all(map(_is_whole, padding))):
        raise UsageError(f"padding must be two whole numbers (lowest, highest) or None; got {padding!r}")
    if not INT32.min <= padding[0] <= padding[1] <= INT32.max:
        raise UsageError(f"padding {padding} is not usable: lowest <= highest, both within 32 bits")


def full_range(bits_stored: int, *, signed: bool) -> Window:
    """The window that spans every value of ``bits_stored`` bits, in stored units (DICOM PS3.3 C.7.6.3.1)."""
    if signed:
        return Window(-(1 << (bits_stored - 1)), (1 << (bits_stored - 1)) - 1)
    return Window(0, (1 << bits_stored) - 1)
