"""The arithmetic of ``model.native``, in plain numpy: THE definition, which the engine equals bit for bit.

Every sum is of integers and below 2**53, so that its order does not matter and float64 matrix products are exact. Where
a float32 rounds, it is one multiplication (of the head: one multiplication, then one addition), never contracted;
``rint`` rounds halves to even.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.native_model.layers import (
    CODE_MAX,
    FINE_MAX,
    Affine,
    Clamp,
    Convolution,
    DenseLayer,
    Head,
    Prologue,
    Transition,
)
from export.native_model.record import NativeNetwork

__all__ = ["NativeOutput", "interpret"]

Codes = NDArray[np.uint8]
"""``[H, W, C]``."""


@dataclass(frozen=True, slots=True)
class NativeOutput:
    """Outputs for one image.

    Attributes:
        logit: float32 ``[K]``.
        cam: float32 ``[K, h, w]``.
        blocks: the codes of each block's concatenation, ``[h, w, channels]``, for whoever compares step by step.
    """

    logit: NDArray[np.float32]
    cam: NDArray[np.float32]
    blocks: tuple[Codes, ...]


def interpret(network: NativeNetwork, image: NDArray[np.float32]) -> NativeOutput:
    """Run one image.

    Args:
        network: a checked network.
        image: float32 ``[H, W]``, finite, as preprocessing makes it.
    """
    codes = stem(network, image)
    concatenations = []
    for number, block in enumerate(network.blocks):
        for layer in block:
            codes = np.concatenate([codes, dense_layer(layer, codes)], axis=2)
        concatenations.append(codes)
        if number < len(network.transitions):
            codes = transition(network.transitions[number], codes)
    cam = class_activation_map(network.head, codes)
    return NativeOutput(mean_of_map(cam), cam, tuple(concatenations))


def stem(network: NativeNetwork, image: NDArray[np.float32]) -> Codes:
    """7x7 convolution, stride 2, padded with the code of 0.0; then 3x3 maximum pooling, stride 2."""
    with np.errstate(over="ignore"):  # a pixel beyond float32 is one beyond the codes, too
        scaled = image * np.float32(network.input_scale) + np.float32(network.input_zero)
    pixels = to_codes(scaled)[:, :, None]
    padded = np.pad(pixels, ((3, 3), (3, 3), (0, 0)), constant_values=network.input_zero)
    return maximum_pool(convolve(network.stem, padded, stride=2))


def dense_layer(layer: DenseLayer, codes: Codes) -> Codes:
    """The channels that a dense layer appends to the concatenation."""
    middle = convolve(layer.bottleneck, prologue_codes(layer.prologue, codes))
    return convolve(layer.growth, np.pad(middle, ((1, 1), (1, 1), (0, 0))))


def transition(layer: Transition, codes: Codes) -> Codes:
    """The next block's first channels: sixteenths averaged over 2x2, then the convolution."""
    return convolve(layer.convolution, averaged(sixteenths(layer.prologue, codes)))


def averaged(fine: NDArray[np.int32]) -> Codes:
    """Codes of sixteenths ``[..., H, W, C]`` averaged over 2x2, rounded half up once."""
    rows = fine[..., 0::2, :, :] + fine[..., 1::2, :, :]
    total = rows[..., 0::2, :] + rows[..., 1::2, :]
    return ((total + 32) >> 6).astype(np.uint8)


def class_activation_map(head: Head, codes: Codes) -> NDArray[np.float32]:
    """The map, ``[K, h, w]``."""
    fine = sixteenths(head.prologue, codes)
    total = fine.astype(np.float64) @ head.weights.T.astype(np.float64)
    cam = total.astype(np.int32).astype(np.float32) * head.multiplier + head.bias
    return np.ascontiguousarray(cam.transpose(2, 0, 1))


def mean_of_map(cam: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logits ``[K]``: cells added row by row in float64, divided once, rounded once to float32."""
    rows = cam.reshape(len(cam), -1).astype(np.float64)
    total = np.add.accumulate(rows, axis=1)[:, -1]
    return (total / rows.shape[1]).astype(np.float32)


def prologue_codes(prologue: Prologue, codes: Codes) -> Codes:
    """What a 1x1 convolution multiplies; an affine prologue's rounding half lies in its bias."""
    if isinstance(prologue, Clamp):
        return np.minimum(np.maximum(codes, prologue.low), prologue.high)
    fine = codes.astype(np.int32) * prologue.multiplier + prologue.bias
    return (fine >> 4).clip(0, CODE_MAX).astype(np.uint8)


def sixteenths(prologue: Affine, codes: Codes) -> NDArray[np.int32]:
    """Codes after norm and ReLU in sixteenths, 0..4080, not rounded."""
    fine = codes.astype(np.int32) * prologue.multiplier + prologue.bias
    return np.asarray(fine.clip(0, FINE_MAX), np.int32)


def convolve(convolution: Convolution, padded: Codes, stride: int = 1) -> Codes:
    """Codes ``[h, w, out]`` of a convolution over an input that is padded already."""
    side = convolution.weights.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1))[::stride, ::stride]
    rows = windows.transpose(0, 1, 3, 4, 2).reshape(windows.shape[0], windows.shape[1], -1).astype(np.float64)
    weights = convolution.weights.reshape(convolution.out_channels, -1).astype(np.float64)
    total = (rows @ weights.T).astype(np.int32) + convolution.bias
    return to_codes(total.astype(np.float32) * convolution.multiplier)


def to_codes(values: NDArray[np.float32]) -> Codes:
    """Rounded, halves to even, and clamped to 0..255."""
    return np.rint(values).clip(0, CODE_MAX).astype(np.uint8)


def maximum_pool(codes: Codes) -> Codes:
    """3x3, stride 2, padded with code 0, the lowest."""
    padded = np.pad(codes, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::2, ::2]
    return np.asarray(windows.max(axis=(3, 4)), np.uint8)
