"""``model.native`` back as a record: for tests, for the definition's interpreter, and for looking into a bundle."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import BundleError, UsageError
from export.native_model.layers import (
    STEM_SIDE,
    Affine,
    Clamp,
    Convolution,
    DenseLayer,
    Head,
    Prologue,
    Transition,
)
from export.native_model.layout import (
    ALIGNMENT,
    HEADER,
    MAGIC,
    OPERATION,
    STEM_ROW,
    VERSION,
    Kind,
    OperationEntry,
    PrologueKind,
    aligned,
    unpack_panels,
)
from export.native_model.record import NativeNetwork

__all__ = ["read_native"]

SIDE = {Kind.STEM: STEM_SIDE, Kind.BOTTLENECK: 1, Kind.GROWTH: 3, Kind.TRANSITION: 1}


def read_native(data: bytes) -> NativeNetwork:
    """The network that the bytes hold.

    Raises:
        BundleError: another format or version, truncated, or sizes that do not add up.
    """
    if len(data) < HEADER.size or data[:8] != MAGIC:
        raise BundleError("this is no model.native file: its first bytes are others")
    _, version, count, size, height, width, outputs, zero, scale = HEADER.unpack_from(data)
    if version != VERSION:
        raise BundleError(f"model.native has version {version}; this version reads {VERSION}")
    if size != len(data) or HEADER.size + count * OPERATION.size > size:
        raise BundleError(f"model.native says {size} bytes and {count} operations, and has {len(data)} bytes")
    try:
        network = _assembled(_Sections(data, count), height, width, scale, zero)
        network.check()
    except (ValueError, UsageError) as error:
        raise BundleError(f"model.native does not hold a network: {error}") from error
    if network.head.outputs != outputs:
        raise BundleError(f"model.native says {outputs} outputs and has {network.head.outputs}")
    return network


class _Sections:
    """Walks the operations and takes each section from where the one before it ended."""

    def __init__(self, data: bytes, count: int) -> None:
        rows = (OPERATION.unpack_from(data, HEADER.size + k * OPERATION.size) for k in range(count))
        self.data = data
        self.entries = [OperationEntry(Kind(row[0]), PrologueKind(row[1]), *row[2:]) for row in rows]
        self.cursor = HEADER.size + count * OPERATION.size

    def take(self, offset: int, count: int, dtype: str) -> NDArray[np.generic]:
        """An array of the file, which must start where the last one ended."""
        size = count * np.dtype(dtype).itemsize
        if offset != self.cursor or offset + size > len(self.data):
            raise BundleError(f"model.native: a section of {size} bytes at {offset}, expected at {self.cursor}")
        self.cursor += aligned(size)
        return np.frombuffer(self.data, dtype, count, offset)

    def prologue(self, entry: OperationEntry) -> Prologue | None:
        """The prologue of an operation."""
        if entry.prologue == PrologueKind.NONE:
            return None
        channels, padded = entry.in_channels, -(-entry.in_channels // ALIGNMENT) * ALIGNMENT
        dtype = "|u1" if entry.prologue == PrologueKind.CLAMP else "<i2"
        first, second = self.take(entry.prologue_offset, 2 * padded, dtype).reshape(2, padded)[:, :channels]
        if entry.prologue == PrologueKind.CLAMP:
            return Clamp(first.astype(np.uint8), second.astype(np.uint8))
        return Affine(first.astype(np.int16), second.astype(np.int16))

    def convolution(self, entry: OperationEntry) -> Convolution:
        """The convolution of an operation, after its prologue was taken."""
        out, side = entry.out_channels, SIDE[entry.kind]
        row = STEM_ROW if entry.kind == Kind.STEM else side
        panels = self.take(entry.weights_offset, out * side * row * entry.in_channels, "|i1").astype(np.int8)
        weights = unpack_panels(panels, out).reshape(out, side, row, entry.in_channels)[:, :, :side]
        bias = self.take(entry.bias_offset, out, "<i4").astype(np.int32)
        return Convolution(weights, bias, self.take(entry.multiplier_offset, out, "<f4").astype(np.float32))

    def head(self, entry: OperationEntry) -> Head:
        """The head of an operation."""
        prologue = self.prologue(entry)
        if not isinstance(prologue, Affine):
            raise BundleError("model.native: the head has no affine prologue")
        shape = (entry.out_channels, entry.in_channels)
        weights = self.take(entry.weights_offset, shape[0] * shape[1], "<i2").astype(np.int16).reshape(shape)
        bias = self.take(entry.bias_offset, entry.out_channels, "<f4").astype(np.float32)
        multiplier = self.take(entry.multiplier_offset, entry.out_channels, "<f4").astype(np.float32)
        return Head(prologue, weights, multiplier, bias)


def _assembled(sections: _Sections, height: int, width: int, scale: float, zero: int) -> NativeNetwork:
    entries: Iterator[OperationEntry] = iter(sections.entries)
    first = next(entries, None)
    if first is None or first.kind != Kind.STEM or first.prologue != PrologueKind.NONE:
        raise BundleError("model.native does not begin with a stem")
    stem = sections.convolution(first)
    blocks: list[list[DenseLayer]] = [[]]
    transitions: list[Transition] = []
    for entry in entries:
        if entry.kind == Kind.HEAD:
            head = sections.head(entry)
            break
        prologue = sections.prologue(entry)
        convolution = sections.convolution(entry)
        if entry.kind == Kind.TRANSITION and isinstance(prologue, Affine):
            transitions.append(Transition(prologue, convolution))
            blocks.append([])
        elif entry.kind == Kind.BOTTLENECK and prologue is not None:
            growth = next(entries, None)
            if growth is None or growth.kind != Kind.GROWTH or growth.prologue != PrologueKind.NONE:
                raise BundleError("model.native: no 3x3 convolution after a bottleneck")
            blocks[-1].append(DenseLayer(prologue, convolution, sections.convolution(growth)))
        else:
            raise BundleError(f"model.native: operation {entry.kind.name} does not belong there")
    else:
        raise BundleError("model.native has no head")
    if next(entries, None) is not None or sections.cursor != len(sections.data):
        raise BundleError("model.native goes on after the head")
    return NativeNetwork(height, width, scale, zero, stem, tuple(map(tuple, blocks)), tuple(transitions), head)
