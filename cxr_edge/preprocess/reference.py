"""THE definition of preprocessing, in numpy. Every other implementation must give the same 32 bits.

The four steps are those of docs/architecture.md: crop, window, exact area resampling, one linear map. Until the
last step every number is an integer, so neither the order of summation nor threads, SIMD or a GPU can change it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.preprocess.spec import PreprocessSpec, linear_map
from cxr_edge.records import Box, Radiograph

__all__ = ["area_weights", "clamped", "preprocess"]


def preprocess(
    radiograph: Radiograph, spec: PreprocessSpec, crop: Box | None = None, threads: int = 1
) -> NDArray[np.float32]:
    """The network's input for one radiograph, ``[spec.height, spec.width]`` float32, about [-1, 1] at mean = std = 0.5.

    Args:
        radiograph: stored pixels with window, polarity and padding.
        spec: output size and normalisation.
        crop: part of the frame to show, in stored pixels; clipped to the frame; None means all of it.
        threads: accepted for the signature's sake; numpy's BLAS decides for itself.

    Raises:
        UsageError: the crop lies outside the frame.
    """
    del threads
    box = (crop or Box(0, 0, radiograph.height, radiograph.width)).clipped(radiograph.height, radiograph.width)
    values = clamped(radiograph, box)
    # float64 products and sums of these integers stay below 2**53 and are therefore exact in any order, so BLAS
    # (blocked, threaded, with FMA) returns the same numbers as integer arithmetic would.
    rows = area_weights(box.height, spec.height)
    columns = area_weights(box.width, spec.width)
    sums = rows @ values.astype(np.float64) @ columns.T
    mapping = linear_map(radiograph, spec, box)
    image: NDArray[np.float32] = (sums * mapping.scale + mapping.offset).astype(np.float32)
    return image


def clamped(radiograph: Radiograph, box: Box) -> NDArray[Any]:
    """``clamp(v) - lo`` of every pixel in the box, ``[box.height, box.width]`` int32 in 0..hi-lo.

    A padding pixel becomes the end that displays black: 0, or ``hi - lo`` where the polarity is inverted.
    """
    stored = radiograph.pixels[box.top : box.top + box.height, box.left : box.left + box.width].astype(np.int32)
    lo, hi = radiograph.window.lo, radiograph.window.hi
    values = np.clip(stored, lo, hi) - lo
    if radiograph.padding is not None:
        first, last = radiograph.padding
        values[(stored >= first) & (stored <= last)] = hi - lo if radiograph.inverted else 0
    return values


def area_weights(size_in: int, size_out: int) -> NDArray[np.float64]:
    """Overlaps of input with output pixels along one axis, ``[size_out, size_in]``, whole numbers held as float64.

    In units of ``1 / size_out``, input pixel x covers ``[x * size_out, (x + 1) * size_out)`` and output pixel i covers
    ``[i * size_in, (i + 1) * size_in)``; each row adds up to ``size_in``.
    """
    x = np.arange(size_in, dtype=np.int64)[None, :] * size_out
    i = np.arange(size_out, dtype=np.int64)[:, None] * size_in
    overlap = np.minimum(x + size_out, i + size_in) - np.maximum(x, i)
    weights: NDArray[np.float64] = np.clip(overlap, 0, None).astype(np.float64)
    return weights
