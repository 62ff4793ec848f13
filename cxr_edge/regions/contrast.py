"""Changes of the grey scale at the network's own size, in one implementation and therefore the same everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxr_edge.preprocess.spec import PreprocessSpec

__all__ = ["equalised"]

LEVELS = 256
"""Grey levels that are counted; the eye and an 8-bit file have no more."""


def equalised(image: NDArray[np.float32], spec: PreprocessSpec) -> NDArray[np.float32]:
    """The image with its histogram made as flat as whole levels allow (Gonzalez and Woods, 3.3.1).

    Counts are whole numbers; what follows is one float64 operation after another on single values, which IEEE 754 fixes
    to the last bit on every machine.

    Args:
        image: ``[H, W]`` as preprocessing gives it; unchanged.
        spec: its normalisation.
    """
    display = image.astype(np.float64) * spec.std + spec.mean
    levels = np.clip(np.rint(display * (LEVELS - 1)), 0, LEVELS - 1).astype(np.intp)
    below = np.cumsum(np.bincount(levels.ravel(), minlength=LEVELS))
    least = int(below[np.argmax(below > 0)])
    span = int(below[-1]) - least
    if span == 0:  # one level alone: there is nothing to spread
        unchanged: NDArray[np.float32] = image.copy()
        return unchanged
    flat = np.clip(below - least, 0, None) / float(span)
    spread: NDArray[np.float64] = (flat[levels] - spec.mean) / spec.std
    result: NDArray[np.float32] = spread.astype(np.float32)
    return result
