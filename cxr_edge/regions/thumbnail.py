"""The small picture that regions are found on: the device's own preprocessing of the whole frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxr_edge.preprocess import PreprocessSpec, preprocess
from cxr_edge.records import Radiograph
from cxr_edge.regions.cells import GRID

__all__ = ["thumbnail"]

SPEC = PreprocessSpec(GRID, GRID)


def thumbnail(radiograph: Radiograph, *, threads: int = 1) -> NDArray[np.float32]:
    """The whole frame as ``[GRID, GRID]`` float32 in [-1, 1], black to white as displayed, aspect not kept.

    Preprocessing gives the same 32 bits everywhere, and so does whatever is found on them by plain arithmetic.

    Args:
        radiograph: stored pixels with window, polarity and padding.
        threads: that share the work; the result doesn't depend on it.

    Raises:
        UsageError: fewer than 1 thread.
        ResourceLimitError: a side of more than 65,535 pixels.
    """
    return preprocess(radiograph, SPEC, threads=threads)
