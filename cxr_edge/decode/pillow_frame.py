"""A grey image out of Pillow without the two copies that `np.asarray` makes of it. Runs in the codec process."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_edge.decode.frame_memory import FrameMemory

__all__ = ["GREY_DTYPES", "load_grey"]

GREY_DTYPES: dict[str, np.dtype[Any]] = {"L": np.dtype(np.uint8), "I;16": np.dtype("<u2")}
"""Pillow's modes whose memory is an array as it stands."""


def load_grey(image: Image.Image, memory: FrameMemory, shape: tuple[int, int] | None = None) -> NDArray[Any]:
    """The pixels of an image that is opened but not loaded, ``[H, W]`` uint8 or uint16; decoded in place where it can.

    Pillow decodes into the image object it finds in place, so it is given one that lies upon our memory. Whether it
    really did is looked at, since no promise of Pillow's covers it; where not, the pixels are copied.

    Args:
        image: of a mode in `GREY_DTYPES`.
        memory: gives the memory to decode into.
        shape: rows and columns that loading gives, where a reduced resolution was set; None means the image's own.
    """
    rows, columns = shape or (image.height, image.width)
    pixels = memory((rows, columns), GREY_DTYPES[image.mode])
    buffer: Any = pixels  # Pillow's annotations know of bytes only
    target = Image.frombuffer(image.mode, (columns, rows), buffer, "raw", image.mode, 0, 1)
    lies_upon = sys.byteorder == "little" and _writes_through(pixels, target)
    if lies_upon:
        image.im = target.im
    image.load()
    if not (lies_upon and image.im is target.im):
        copied: Any = image
        np.copyto(pixels, np.asarray(copied))
    return pixels


def _writes_through(pixels: NDArray[Any], image: Image.Image) -> bool:
    """True when a value written to the array is seen in the image, which proves one memory. Leaves the array zero."""
    pixels[-1, -1] = 1
    seen = image.getpixel((image.width - 1, image.height - 1)) == 1
    pixels[-1, -1] = 0
    return seen
