"""Where decoders put a frame: memory of this process, or memory that two processes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["FrameMemory", "private_memory"]

FrameMemory = Callable[[tuple[int, int], DTypeLike], NDArray[Any]]
"""``memory(shape, dtype)`` gives a C-contiguous array of zeros. Zeros matter: decoders leave what is missing from a
damaged file untouched, and what an earlier image left in used memory would pass for it."""


def private_memory(shape: tuple[int, int], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros in memory of this process alone, ``[rows, columns]``."""
    return np.zeros(shape, dtype)
