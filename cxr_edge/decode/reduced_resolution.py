"""JPEG 2000 at reduced resolution: how far a codestream may be reduced, and its pixels put back where they belong."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import CorruptInputError

__all__ = ["Reduction", "block_means", "possible_reduction"]

MAX_LEVELS = 3
"""Reduction by 8: the coarsest that leaves a detector's frame more pixels than a network takes."""

REACH = 4
"""Low-pass samples on either side that a block's mean depends upon, at most."""

IRREVERSIBLE, REVERSIBLE = 0, 1
SYNTHESIS = {
    IRREVERSIBLE: np.array(
        [
            -0.091271763114,
            -0.057543526229,
            0.591271763114,
            1.115087052457,
            0.591271763114,
            -0.057543526229,
            -0.091271763114,
        ]
    ),
    REVERSIBLE: np.array([0.5, 1.0, 0.5]),
}
"""Low-pass synthesis filters of the 9-7 and 5-3 wavelets (ISO/IEC 15444-1 annex F), by the code of the kernel."""

COD, COC, SOD = 0xFF52, 0xFF53, 0xFF93
SIZ_FIELDS = struct.Struct(">8I")
"""Image's right, bottom, left and top; tile's width, height, left and top (ISO/IEC 15444-1 A.5.1)."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """How many wavelet levels are left undecoded, each of which halves both sides, and the kernel's code."""

    levels: int = 0
    kernel: int = REVERSIBLE


def possible_reduction(data: bytes, rows: int, columns: int, reduce_to: int) -> Reduction:
    """The furthest reduction of a frame that leaves its shorter side at least `reduce_to` pixels.

    Both sides are divided without remainder, so that every pixel of the reduced frame stands for the same area and
    the frame for the same part of the patient. Frames in several tiles, or off the origin of their grid, are decoded
    in full: their levels are cut at other places.

    Args:
        data: a codestream whose header was inspected.
        rows: height of the full frame, pixels.
        columns: its width, pixels.
        reduce_to: shortest side that the reduced frame may have, pixels.

    Raises:
        CorruptInputError: markers that cannot be followed.
    """
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top = SIZ_FIELDS.unpack_from(data, 8)
    if (left, top, tile_left, tile_top) != (0, 0, 0, 0) or tile_width < right or tile_height < bottom:
        return Reduction()
    styles = _coding_styles(data)
    if len(set(styles)) != 1 or styles[0][1] not in SYNTHESIS:
        return Reduction()
    deepest, kernel = styles[0]
    levels = 0
    for deeper in range(1, 1 + min(MAX_LEVELS, deepest)):
        divides = rows % (1 << deeper) == 0 and columns % (1 << deeper) == 0
        if not divides or min(rows, columns) >> deeper < reduce_to:
            break
        levels = deeper
    return Reduction(levels, kernel)


def _coding_styles(data: bytes) -> list[tuple[int, int]]:
    """Wavelet levels and kernel of each coding style in the main header and the first tile's (A.6.1, A.6.2)."""
    styles = []
    for marker, position in _segments(data):
        if marker in (COD, COC):
            levels = position + (7 if marker == COD else 4)
            styles.append((data[levels], data[levels + 4]))
    return styles


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker code, and position of the length field, of each segment up to the first tile's data."""
    position = 2
    try:
        while True:
            marker, length = struct.unpack_from(">HH", data, position)
            if marker == SOD:
                return
            yield marker, position + 2
            position += 2 + max(length, 2)
    except (struct.error, IndexError):
        raise CorruptInputError("the JPEG 2000 codestream is damaged: its headers have no end") from None


def block_means(low_pass: NDArray[Any], reduction: Reduction, highest: int) -> NDArray[Any]:
    """What the mean of each block of pixels would be if the details left out were zero; same shape and type.

    A low-pass sample ``i`` sits upon the full frame's pixel ``2**levels * i``, but a pixel of a smaller picture stands
    for a block, whose centre is nearly half a reduced pixel further on. So the frame is thought rebuilt from the
    low-pass band alone and averaged block by block, which is one short filter a direction. Edges repeat.

    Args:
        low_pass: unsigned ``[H, W]``.
        reduction: how it was made.
        highest: the largest value a pixel may have.
    """
    taps = block_mean_taps(reduction)
    values = _filtered(_filtered(low_pass.astype(np.float32), taps).T, taps).T
    return np.ascontiguousarray(np.clip(np.rint(values), 0, highest).astype(low_pass.dtype))


def block_mean_taps(reduction: Reduction) -> NDArray[np.float32]:
    """Weights of the low-pass samples around ``i`` in the mean of block ``i``, ``[2 * REACH + 1]``; their sum is 1."""
    band = np.zeros(4 * REACH + 1)
    band[2 * REACH] = 1
    for _ in range(reduction.levels):
        spread = np.zeros(2 * len(band))
        spread[::2] = band
        band = np.convolve(spread, SYNTHESIS[reduction.kernel], "same")
    means = band.reshape(-1, 1 << reduction.levels).mean(axis=1)
    weights: NDArray[np.float32] = means[REACH : 3 * REACH + 1][::-1].astype(np.float32)
    return weights


def _filtered(values: NDArray[np.float32], taps: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weighted sums along the first axis."""
    padded = np.pad(values, ((REACH, REACH), (0, 0)), "edge")
    total = np.zeros_like(values)
    for offset, weight in enumerate(taps):
        if weight:
            total += weight * padded[offset : offset + len(values)]
    return total
