"""Preprocessing by the C++ extension: the reference's bits, about as fast as the frame can be read from memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import ResourceLimitError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec, linear_map
from cxr_edge.records import Box, Radiograph

try:
    import cxr_edge._native as _native
except ModuleNotFoundError:  # installed without a compiler; an extension that is there but broken must be heard of
    _native = None  # type: ignore[assignment]

__all__ = ["MAX_SIDE", "available", "checked_call", "preprocess", "simd_level", "simd_levels"]

MAX_SIDE = 65_535
"""Largest height or width of the resampled part of a frame, pixels: 32-bit column sums of 16-bit spans stay exact."""

INT32 = np.iinfo(np.int32)


def available() -> bool:
    """Whether the extension is part of this installation."""
    return _native is not None


def simd_levels() -> tuple[str, ...]:
    """Names of the SIMD levels that run here, slowest first: of ``"scalar"``, ``"neon"``, ``"avx2"``, ``"avx512"``.

    Raises:
        UsageError: the extension is not part of this installation.
    """
    _require_extension()
    return tuple(_native.simd_levels())


def simd_level() -> str:
    """Name of the SIMD level that `preprocess` uses unless it is told otherwise, the fastest.

    Raises:
        UsageError: the extension is not part of this installation.
    """
    return simd_levels()[-1]


def preprocess(
    radiograph: Radiograph,
    spec: PreprocessSpec,
    crop: Box | None = None,
    threads: int = 1,
    out: NDArray[np.float32] | None = None,
    *,
    simd: str | None = None,
) -> NDArray[np.float32]:
    """The network's input for one radiograph, ``[spec.height, spec.width]`` float32; the reference's, bit by bit.

    The interpreter lock is released while the extension works.

    Args:
        radiograph: stored pixels with window, polarity and padding.
        spec: output size and normalisation.
        crop: part of the frame to show, in stored pixels; clipped to the frame; None means all of it.
        threads: how many threads share the work, at least 1; the result doesn't depend on it.
        out: array to write into and return instead of a new one.
        simd: one of `simd_levels` to use instead of the fastest; the result doesn't depend on it.

    Raises:
        UsageError: the crop lies outside the frame, `out` does not fit, fewer than 1 thread, an unknown SIMD level, or
            the extension is not part of this installation.
        ResourceLimitError: the part to show has a side above 65,535 pixels.
    """
    level = simd or simd_level()
    if level not in simd_levels():
        raise UsageError(f"SIMD level {level!r} does not run here; use one of {', '.join(simd_levels())}")
    box, result = checked_call(radiograph, spec, crop, threads, out)
    mapping = linear_map(radiograph, spec, box)
    _native.preprocess(
        radiograph.pixels,
        (box.top, box.left, box.height, box.width),
        (radiograph.window.lo, radiograph.window.hi),
        _padding_range(radiograph),
        radiograph.inverted,
        (mapping.scale, mapping.offset),
        result,
        min(threads, spec.height),
        level,
    )
    return result


def checked_call(
    radiograph: Radiograph, spec: PreprocessSpec, crop: Box | None, threads: int, out: NDArray[np.float32] | None
) -> tuple[Box, NDArray[np.float32]]:
    """The part of the frame to resample and the array to write into, for every implementation alike.

    Raises:
        UsageError: the crop lies outside the frame, `out` does not fit, or fewer than 1 thread.
        ResourceLimitError: the part to show has a side above `MAX_SIDE`.
    """
    if threads < 1:
        raise UsageError(f"threads={threads} must be at least 1")
    box = (crop or Box(0, 0, radiograph.height, radiograph.width)).clipped(radiograph.height, radiograph.width)
    if max(box.height, box.width) > MAX_SIDE:
        raise ResourceLimitError(
            f"{box.height}x{box.width} pixels are too many: preprocessing takes up to {MAX_SIDE} a side; crop the frame"
        )
    return box, _output_array(spec, out)


def _output_array(spec: PreprocessSpec, out: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """`out` itself, or a new ``[spec.height, spec.width]`` float32 array where it is None.

    Raises:
        UsageError: `out` has another shape or type, is not C-contiguous, or is read-only.
    """
    shape = (spec.height, spec.width)
    if out is None:
        return np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32:
        raise UsageError(f"out is {out.dtype} {list(out.shape)}; this spec needs float32 {list(shape)}")
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise UsageError("out must be a writable C-contiguous array; pass np.empty(shape, np.float32)")
    return out


def _padding_range(radiograph: Radiograph) -> tuple[int, int] | None:
    """The padding range cut to 32 bits, which no stored pixel exceeds; None where there is none."""
    if radiograph.padding is None:
        return None
    first, last = radiograph.padding
    if first > last or first > INT32.max or last < INT32.min:
        return None
    return max(first, int(INT32.min)), min(last, int(INT32.max))


def _require_extension() -> None:
    if _native is None:
        raise UsageError(
            "native preprocessing is not part of this installation; install a C++17 compiler and reinstall cxr-edge"
        )
