"""A DenseNet in integers, as a frozen record; `export.native_model.interpreter` says what each number means exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxr_edge.errors import UsageError
from export.native_model.layers import (
    CODE_MAX,
    STEM_SIDE,
    Convolution,
    DenseLayer,
    Head,
    Transition,
    check_prologue,
)

__all__ = ["NativeNetwork"]


@dataclass(frozen=True, slots=True)
class NativeNetwork:
    """The whole network.

    Attributes:
        height, width: of the input, pixels.
        input_scale: float32; the image's code is ``round(pixel * input_scale + input_zero)``, clamped to 0..255.
        input_zero: the code of 0.0, what the stem pads with.
        stem: 7x7, stride 2; followed by 3x3 maximum pooling, stride 2, on codes.
        blocks: the dense layers of each block.
        transitions: one between every two blocks.
        head: after the last block.
    """

    height: int
    width: int
    input_scale: float
    input_zero: int
    stem: Convolution
    blocks: tuple[tuple[DenseLayer, ...], ...]
    transitions: tuple[Transition, ...]
    head: Head

    def check(self) -> None:
        """Refuse a network whose parts don't fit together.

        Raises:
            UsageError: naming the part.
        """
        strides = 2 ** (len(self.blocks) + 1)
        if not self.blocks or len(self.transitions) != len(self.blocks) - 1 or not all(self.blocks):
            raise UsageError("a network has at least one block, layers in every block, and transitions between them")
        if self.height < strides or self.width < strides or self.height % strides or self.width % strides:
            raise UsageError(f"{self.height}x{self.width}: both sides must be multiples of {strides}")
        if not (0 <= self.input_zero <= CODE_MAX and np.isfinite(self.input_scale) and self.input_scale > 0):
            raise UsageError("input_zero must be a code and input_scale a positive number")
        self.stem.check("stem", STEM_SIDE, 1)
        channels = self.stem.out_channels
        for number, block in enumerate(self.blocks):
            channels = _check_block(block, f"block {number}", channels)
            if number < len(self.transitions):
                transition = self.transitions[number]
                check_prologue(transition.prologue, f"transition {number}", channels)
                transition.convolution.check(f"transition {number}", 1, channels)
                channels = transition.convolution.out_channels
        check_prologue(self.head.prologue, "head", channels)
        self.head.check(channels)


def _check_block(block: tuple[DenseLayer, ...], what: str, channels: int) -> int:
    """Channels after the block."""
    for number, layer in enumerate(block):
        name = f"{what}, layer {number}"
        check_prologue(layer.prologue, name, channels)
        layer.bottleneck.check(f"{name}, bottleneck", 1, channels)
        layer.growth.check(f"{name}, growth", 3, layer.bottleneck.out_channels)
        channels += layer.growth.out_channels
    return channels
