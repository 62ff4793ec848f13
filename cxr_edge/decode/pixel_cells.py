"""Pixel cells to samples (PS3.5 8.1.1): moved down from HighBit, other bits cleared, sign extended."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.decode.image_description import ImageDescription

__all__ = ["hold_samples_only", "sample_type", "samples_of_cells", "sign_extended", "turn_into_samples"]


def sample_type(image: ImageDescription) -> np.dtype[Any]:
    """uint8, uint16, int8 or int16: what the image's samples are."""
    return np.dtype(f"{'i' if image.signed else 'u'}{image.bits_allocated // 8}")


def samples_of_cells(cells: NDArray[Any], image: ImageDescription) -> NDArray[Any]:
    """The samples within pixel cells, in the signed type where the image is signed; the cells are not changed.

    Args:
        cells: unsigned, of BitsAllocated bits. Bits outside the sample may hold overlays or anything.
        image: where the sample sits.
    """
    if hold_samples_only(cells, image):
        samples = cells
    else:
        samples = cells.copy()
        turn_into_samples(samples, image)
    viewed: NDArray[Any] = samples.view(sample_type(image))
    return viewed


def hold_samples_only(cells: NDArray[Any], image: ImageDescription) -> bool:
    """Whether the cells are their samples already, which looking at them once tells; so are most radiographs'."""
    if image.high_bit + 1 != image.bits_stored:
        return False
    if image.bits_stored == image.bits_allocated:
        return True
    if not image.signed:
        return int(cells.max()) < 1 << image.bits_stored
    samples, limit = cells.view(sample_type(image)), 1 << (image.bits_stored - 1)
    return -limit <= int(samples.min()) and int(samples.max()) < limit


def turn_into_samples(cells: NDArray[Any], image: ImageDescription) -> None:
    """Replace cells by their samples, in place; to be viewed as `sample_type`."""
    shift = image.high_bit + 1 - image.bits_stored
    if image.signed:
        spare = image.bits_allocated - image.bits_stored
        np.left_shift(cells, spare - shift, out=cells)
        samples = cells.view(sample_type(image))
        np.right_shift(samples, spare, out=samples)
        return
    if shift:
        np.right_shift(cells, shift, out=cells)
    if image.bits_stored < image.bits_allocated:
        np.bitwise_and(cells, cells.dtype.type((1 << image.bits_stored) - 1), out=cells)


def sign_extended(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Unsigned values read as two's complement of so many bits, in the signed type of the same width."""
    spare = 8 * values.dtype.itemsize - bits
    signed: NDArray[Any] = (values << spare).view(f"i{values.dtype.itemsize}")
    return signed >> spare
