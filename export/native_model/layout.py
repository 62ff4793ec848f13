"""How ``model.native`` lies in memory: little-endian, every section 64-byte aligned, nothing between them but zeros.

A header, a table of operations in the order in which they run, and for each operation its sections, in the order
prologue, weights, bias, multiplier. Offsets are written although they follow from the table: a reader that computes
them finds every disagreement. `cxr_edge/native/src/engine/model_file.cpp` reads the same bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALIGNMENT",
    "HEADER",
    "MAGIC",
    "OPERATION",
    "PANEL",
    "STEM_ROW",
    "VERSION",
    "Kind",
    "OperationEntry",
    "PrologueKind",
    "aligned",
    "pack_panels",
    "unpack_panels",
]

MAGIC = b"CXRNATIV"
VERSION = 1
ALIGNMENT = 64
PANEL = 16
"""Filters whose weights lie together: 16 filters x 4 products are one 512-bit register."""

PRODUCTS = 4
"""Neighbouring products of one filter, which the dot-product instructions add up."""

STEM_ROW = 8
"""A row of the stem's window, 7 pixels, is stored as 8 with a zero weight."""

HEADER = struct.Struct("<8sIIQIIIIf20x")
"""Magic, version, operations, bytes of the file, height, width, outputs, code of 0.0, input scale."""

OPERATION = struct.Struct("<IIIIQQQQ16x")
"""Kind, prologue, input channels, output channels, offsets of prologue (0: none), weights, bias, multiplier."""


class Kind(IntEnum):
    """What an operation does."""

    STEM = 1
    BOTTLENECK = 2
    GROWTH = 3
    TRANSITION = 4
    HEAD = 5


class PrologueKind(IntEnum):
    """What happens to codes before the convolution."""

    NONE = 0
    CLAMP = 1
    AFFINE = 2


@dataclass(frozen=True, slots=True)
class OperationEntry:
    """One row of the table of operations; offsets in bytes from the start of the file."""

    kind: Kind
    prologue: PrologueKind
    in_channels: int
    out_channels: int
    prologue_offset: int
    weights_offset: int
    bias_offset: int
    multiplier_offset: int


def aligned(size: int) -> int:
    """The next multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def pack_panels(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Panels ``[out / 16, products / 4, 16, 4]`` of filters ``[out, products]``."""
    out, products = weights.shape
    grouped = weights.reshape(out // PANEL, PANEL, products // PRODUCTS, PRODUCTS)
    return np.ascontiguousarray(grouped.transpose(0, 2, 1, 3))


def unpack_panels(panels: NDArray[np.int8], out: int) -> NDArray[np.int8]:
    """Filters ``[out, products]`` of what `pack_panels` made, as a flat array."""
    grouped = panels.reshape(out // PANEL, -1, PANEL, PRODUCTS)
    return np.ascontiguousarray(grouped.transpose(0, 2, 1, 3).reshape(out, -1))
