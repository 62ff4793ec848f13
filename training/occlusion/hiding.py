"""Ways to hide a part of the network's input.

No way is neutral: black is a thing of its own, which the paper's authors saw matter, and a blur keeps how bright the
part is. What both agree on is about the part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_edge.preprocess.spec import PreprocessSpec

__all__ = ["WAYS", "hidden"]

WAYS = ("black", "blurred")

COARSE = 14
"""Pixels along either side of the whole input that a blurred part keeps: brightness without structure."""


def hidden(image: NDArray[np.float32], part: NDArray[np.bool_], way: str, spec: PreprocessSpec) -> NDArray[np.float32]:
    """A copy of the input in which a part cannot be seen.

    Args:
        image: ``[H, W]`` as the network sees it; unchanged.
        part: ``[H, W]`` what to hide.
        way: one of `WAYS`.
        spec: tells which value is black.
    """
    if way == "black":
        return np.where(part, np.float32((0.0 - spec.mean) / spec.std), image)
    size = (image.shape[1], image.shape[0])
    coarse = Image.fromarray(image).resize((COARSE, COARSE), Image.Resampling.BOX)
    return np.where(part, np.asarray(coarse.resize(size, Image.Resampling.BILINEAR)), image)
