"""The layers of a DenseNet in integers, as frozen records.

Activations are unsigned 8-bit *codes*, each channel on a grid of its own (docs/native-engine.md). Channels come last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError

__all__ = [
    "CHANNEL_MULTIPLE",
    "CODE_MAX",
    "FINE_MAX",
    "FINE_STEPS",
    "INT32_MAX",
    "MULTIPLIER_MAX",
    "STEM_SIDE",
    "Affine",
    "Clamp",
    "Convolution",
    "DenseLayer",
    "Head",
    "Prologue",
    "Transition",
    "check_prologue",
    "largest_sum",
]

CODE_MAX = 255
"""Largest code of an activation."""

FINE_STEPS = 16
"""What an affine prologue computes in: sixteenths of a code, so that a threshold may lie between two codes."""

FINE_MAX = CODE_MAX * FINE_STEPS

CHANNEL_MULTIPLE = 16
"""Channel counts are multiples of a weight panel's width; only the head may have any number of outputs."""

MULTIPLIER_MAX = 0.5
"""Keeps ``accumulator * multiplier`` below 2**31, where a conversion to int32 would no longer saturate alike."""

STEM_SIDE = 7

INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Clamp:
    """Batch normalisation and ReLU as a range of codes: ``min(max(code, low), high)``.

    Attributes:
        low, high: uint8 ``[in]``; the affine part lies in the next weights and bias.
    """

    low: NDArray[np.uint8]
    high: NDArray[np.uint8]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.low)

    def check(self, what: str) -> None:
        """Refuse arrays of another form.

        Raises:
            UsageError: naming ``what``.
        """
        _check_array(self.low, np.uint8, (self.channels,), f"{what}.low")
        _check_array(self.high, np.uint8, (self.channels,), f"{what}.high")


@dataclass(frozen=True, slots=True)
class Affine:
    """Batch normalisation and ReLU as ``code * multiplier + bias`` in sixteenths of the next code.

    Attributes:
        multiplier, bias: int16 ``[in]``; the sum stays within int16 for every code.
    """

    multiplier: NDArray[np.int16]
    bias: NDArray[np.int16]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.multiplier)

    def check(self, what: str) -> None:
        """Refuse arrays of another form, and sums that leave int16.

        Raises:
            UsageError: naming ``what``.
        """
        _check_array(self.multiplier, np.int16, (self.channels,), f"{what}.multiplier")
        _check_array(self.bias, np.int16, (self.channels,), f"{what}.bias")
        last = self.bias.astype(np.int32) + CODE_MAX * self.multiplier.astype(np.int32)
        if (last != last.astype(np.int16)).any():
            raise UsageError(f"{what}: 255 * multiplier + bias must fit 16 bits; it reaches {last.min()}..{last.max()}")


Prologue = Clamp | Affine


@dataclass(frozen=True, slots=True)
class Convolution:
    """Integer weights and the way back to codes: ``round(float32(sum + bias) * multiplier)``, clamped to 0..255.

    Attributes:
        weights: int8 ``[out, kernel, kernel, in]``.
        bias: int32 ``[out]``, in units of the accumulator.
        multiplier: float32 ``[out]``, 0 to `MULTIPLIER_MAX`.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.float32]

    @property
    def out_channels(self) -> int:
        """Number of filters."""
        return int(self.weights.shape[0])

    @property
    def in_channels(self) -> int:
        """Channels of one tap."""
        return int(self.weights.shape[3])

    def check(self, what: str, side: int, in_channels: int) -> None:
        """Refuse other shapes, and accumulators that could leave int32.

        Raises:
            UsageError: naming ``what``.
        """
        out = self.out_channels
        _check_array(self.weights, np.int8, (out, side, side, in_channels), f"{what}.weights")
        _check_array(self.bias, np.int32, (out,), f"{what}.bias")
        _check_array(self.multiplier, np.float32, (out,), f"{what}.multiplier")
        check_multiple(out, f"{what}: output channels")
        room = INT32_MAX - largest_sum(self.weights[0].size)
        if room < 0 or np.abs(self.bias.astype(np.int64)).max() > room:
            raise UsageError(f"{what}: a bias beyond {room} could carry the accumulator out of 32 bits")
        if not ((self.multiplier >= 0) & (self.multiplier <= MULTIPLIER_MAX)).all():
            raise UsageError(f"{what}: multipliers must lie in 0..{MULTIPLIER_MAX}")


def largest_sum(products: int) -> int:
    """Bound of a sum of this many code-weight products."""
    return products * CODE_MAX * 128


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """Norm1 and ReLU as a prologue, the 1x1 convolution with norm2 and ReLU, and the 3x3 convolution.

    Attributes:
        prologue: of the 1x1 convolution's input, the concatenation.
        bottleneck: 1x1; its codes are of non-negative numbers, code 0 is 0: what the 3x3 pads with.
        growth: 3x3, padded with code 0; its output is appended to the concatenation.
    """

    prologue: Prologue
    bottleneck: Convolution
    growth: Convolution


@dataclass(frozen=True, slots=True)
class Transition:
    """Norm and ReLU, 2x2 average pooling, and the 1x1 convolution (which commutes with the pooling)."""

    prologue: Affine
    convolution: Convolution


@dataclass(frozen=True, slots=True)
class Head:
    """Norm5 and ReLU, and the 1x1 convolution whose map is the decision.

    Attributes:
        prologue: its sixteenths are not rounded to codes.
        weights: int16 ``[outputs, in]``; the sum of magnitudes times `FINE_MAX` fits int32.
        multiplier, bias: float32 ``[outputs]``: ``cam = float32(sum) * multiplier + bias``.
    """

    prologue: Affine
    weights: NDArray[np.int16]
    multiplier: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return int(self.weights.shape[0])

    def check(self, in_channels: int) -> None:
        """Refuse other shapes and sums that could leave int32.

        Raises:
            UsageError: naming the head.
        """
        self.prologue.check("head.prologue")
        _check_array(self.weights, np.int16, (self.outputs, in_channels), "head.weights")
        for name in ("multiplier", "bias"):
            values = getattr(self, name)
            _check_array(values, np.float32, (self.outputs,), f"head.{name}")
            if not np.isfinite(values).all():
                raise UsageError(f"head.{name} holds NaN or infinity")
        if (np.abs(self.weights.astype(np.int64)).sum(axis=1) * FINE_MAX > INT32_MAX).any():
            raise UsageError("head.weights are so large that a sum could leave 32 bits")


def check_prologue(prologue: Prologue, what: str, channels: int) -> None:
    """Refuse a prologue for another number of channels.

    Raises:
        UsageError: naming ``what``.
    """
    prologue.check(what)
    if prologue.channels != channels:
        raise UsageError(f"{what}: the prologue has {prologue.channels} channels, its input {channels}")


def check_multiple(channels: int, what: str) -> None:
    """Refuse a number of channels that no panel of weights divides.

    Raises:
        UsageError: naming ``what``.
    """
    if channels < CHANNEL_MULTIPLE or channels % CHANNEL_MULTIPLE:
        raise UsageError(f"{what} must be a multiple of {CHANNEL_MULTIPLE}; got {channels}")


def _check_array(array: NDArray[np.generic], dtype: type[np.generic], shape: tuple[int, ...], what: str) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise UsageError(f"{what} must be {np.dtype(dtype)} {shape}; got {array.dtype} {array.shape}")
