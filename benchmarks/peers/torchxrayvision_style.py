"""Preprocessing in the manner of torchxrayvision's examples, written for this comparison; nothing of this library."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_VALUE", "SIZE", "resized"]

MAX_VALUE = 65_535
SIZE = (224, 224)


def resized(frame: NDArray[Any]) -> NDArray[np.float32]:
    """The whole frame normalised to [-1, 1] in float32 first, then scikit-image's resize."""
    transform: Any = import_module("skimage.transform")
    whole = frame.astype(np.float32) * (2.0 / MAX_VALUE) - 1.0
    return np.asarray(transform.resize(whole, SIZE, mode="constant", preserve_range=True), np.float32)
