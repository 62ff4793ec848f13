"""Radiograph -> network input: crop, window, exact area resampling, one linear map.

The extension does the work where it is installed, numpy where it is not; both give the same 32 bits, so which one ran
is a matter of speed alone. ``CXR_EDGE_PREPROCESS=numpy`` or ``native`` in the environment insists on one.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError
from cxr_edge.preprocess import native, reference
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Box, Radiograph

__all__ = ["PreprocessSpec", "implementation", "preprocess"]

CHOICE_VARIABLE = "CXR_EDGE_PREPROCESS"


def preprocess(
    radiograph: Radiograph,
    spec: PreprocessSpec,
    crop: Box | None = None,
    *,
    threads: int = 1,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """The network's input for one radiograph, ``[spec.height, spec.width]`` float32, about [-1, 1] at mean = std = 0.5.

    Args:
        radiograph: stored pixels with window, polarity and padding.
        spec: output size and normalisation.
        crop: part of the frame to show, in stored pixels; clipped to the frame; None means all of it.
        threads: how many threads share the work; the result doesn't depend on it.
        out: C-contiguous float32 ``[spec.height, spec.width]`` to write into and return instead of a new array.

    Raises:
        UsageError: the crop lies outside the frame, `out` does not fit, fewer than 1 thread, or the environment asks
            for an implementation that is unknown or not installed.
        ResourceLimitError: the part to show has a side above 65,535 pixels.
    """
    if _native_chosen():
        return native.preprocess(radiograph, spec, crop, threads, out)
    box, result = native.checked_call(radiograph, spec, crop, threads, out)
    result[...] = reference.preprocess(radiograph, spec, box, threads)
    return result


def implementation() -> str:
    """What `preprocess` runs here: ``"numpy"``, or ``"native "`` and the SIMD level, as in ``"native avx2"``.

    Raises:
        UsageError: as `preprocess` does when the environment's choice can't be had.
    """
    return f"native {native.simd_level()}" if _native_chosen() else "numpy"


def _native_chosen() -> bool:
    choice = os.environ.get(CHOICE_VARIABLE) or ("native" if native.available() else "numpy")
    if choice not in ("native", "numpy"):
        raise UsageError(f"{CHOICE_VARIABLE}={choice} is unknown; use native or numpy, or unset it")
    return choice == "native"
