"""A network as the bytes of ``model.native``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.native_model.layers import (
    STEM_SIDE,
    Affine,
    Clamp,
    Convolution,
    Head,
    Prologue,
)
from export.native_model.layout import (
    ALIGNMENT,
    HEADER,
    MAGIC,
    OPERATION,
    STEM_ROW,
    VERSION,
    Kind,
    PrologueKind,
    aligned,
    pack_panels,
)
from export.native_model.record import NativeNetwork

__all__ = ["write_native"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation with its sections as bytes; an empty prologue stands for none."""

    kind: Kind
    prologue_kind: PrologueKind
    in_channels: int
    out_channels: int
    prologue: bytes
    weights: bytes
    bias: bytes
    multiplier: bytes

    @property
    def sections(self) -> tuple[bytes, ...]:
        """In the order of the file."""
        return self.prologue, self.weights, self.bias, self.multiplier


def write_native(network: NativeNetwork) -> bytes:
    """The file's bytes.

    Raises:
        UsageError: the parts of the network don't fit together.
    """
    network.check()
    operations = list(_operations(network))
    offset = HEADER.size + OPERATION.size * len(operations)
    table, body = bytearray(), bytearray()
    for operation in operations:
        offsets = []
        for section in operation.sections:
            offsets.append(offset + len(body) if section else 0)
            body += section.ljust(aligned(len(section)), b"\0")
        channels = (operation.in_channels, operation.out_channels)
        table += OPERATION.pack(operation.kind, operation.prologue_kind, *channels, *offsets)
    size = offset + len(body)
    header = HEADER.pack(
        MAGIC,
        VERSION,
        len(operations),
        size,
        network.height,
        network.width,
        network.head.outputs,
        network.input_zero,
        network.input_scale,
    )
    return bytes(header + table + body)


def _operations(network: NativeNetwork) -> Iterator[Operation]:
    yield _convolution(Kind.STEM, None, network.stem)
    for number, block in enumerate(network.blocks):
        for layer in block:
            yield _convolution(Kind.BOTTLENECK, layer.prologue, layer.bottleneck)
            yield _convolution(Kind.GROWTH, None, layer.growth)
        if number < len(network.transitions):
            transition = network.transitions[number]
            yield _convolution(Kind.TRANSITION, transition.prologue, transition.convolution)
    yield _head(network.head)


def _convolution(kind: Kind, prologue: Prologue | None, convolution: Convolution) -> Operation:
    weights = convolution.weights
    if kind == Kind.STEM:
        weights = np.pad(weights, ((0, 0), (0, 0), (0, STEM_ROW - STEM_SIDE), (0, 0)))
    prologue_kind, prologue_section = _prologue(prologue)
    return Operation(
        kind=kind,
        prologue_kind=prologue_kind,
        in_channels=convolution.in_channels,
        out_channels=convolution.out_channels,
        prologue=prologue_section,
        weights=pack_panels(weights.reshape(convolution.out_channels, -1)).tobytes(),
        bias=convolution.bias.astype("<i4").tobytes(),
        multiplier=convolution.multiplier.astype("<f4").tobytes(),
    )


def _head(head: Head) -> Operation:
    prologue_kind, prologue_section = _prologue(head.prologue)
    return Operation(
        kind=Kind.HEAD,
        prologue_kind=prologue_kind,
        in_channels=head.prologue.channels,
        out_channels=head.outputs,
        prologue=prologue_section,
        weights=head.weights.astype("<i2").tobytes(),
        bias=head.bias.astype("<f4").tobytes(),
        multiplier=head.multiplier.astype("<f4").tobytes(),
    )


def _prologue(prologue: Prologue | None) -> tuple[PrologueKind, bytes]:
    """The section: two arrays one after the other, each padded with zeros to a whole number of 64 channels."""
    if prologue is None:
        return PrologueKind.NONE, b""
    if isinstance(prologue, Clamp):
        return PrologueKind.CLAMP, _padded(prologue.low) + _padded(prologue.high)
    assert isinstance(prologue, Affine)
    return PrologueKind.AFFINE, _padded(prologue.multiplier.astype("<i2")) + _padded(prologue.bias.astype("<i2"))


def _padded(values: NDArray[np.generic]) -> bytes:
    channels = -(-len(values) // ALIGNMENT) * ALIGNMENT
    return values.tobytes().ljust(channels * values.dtype.itemsize, b"\0")
