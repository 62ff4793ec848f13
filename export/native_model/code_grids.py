"""How real numbers lie on codes: one step and one zero for each channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.ranges import ChannelRange
from export.int8.network import Array, Convolution, Rectifier
from export.native_model.layers import (
    CODE_MAX,
    FINE_STEPS,
    MULTIPLIER_MAX,
    Affine,
    Clamp,
    Prologue,
)

__all__ = ["CodeGrid", "affine_prologue", "clamp_prologue", "positive_grid", "spanning_grid"]

SLOPE_MAX = 127
"""Largest multiplier of an affine prologue, in sixteenths: with codes up to 255 the sum stays within 16 bits."""

LARGEST_WEIGHT = 127


@dataclass(frozen=True, slots=True)
class CodeGrid:
    """``value = step * code + zero`` for each channel.

    Attributes:
        step: ``[C]``, positive; 0 only where a prologue gives a constant.
        zero: ``[C]``, the value of code 0.
    """

    step: Array
    zero: Array

    def joined(self, other: CodeGrid) -> CodeGrid:
        """The grid of this one's channels followed by the other's."""
        return CodeGrid(np.concatenate([self.step, other.step]), np.concatenate([self.zero, other.zero]))

    def for_output_of(self, convolution: Convolution) -> CodeGrid:
        """This grid with steps that are coarse enough for a convolution of codes.

        One unit of the largest weight may change a result by `MULTIPLIER_MAX` codes at most. A channel whose range is
        narrower beside its weights, one that a ReLU almost always shuts for example, does with fewer codes.
        """
        largest = np.abs(convolution.weight).max(axis=(1, 2, 3))
        # A little more: the quotient is rounded to float32 later.
        least = largest / (LARGEST_WEIGHT * MULTIPLIER_MAX) * (1 + 1e-6)
        return CodeGrid(np.maximum(self.step, least), self.zero)


def spanning_grid(spans: ChannelRange) -> CodeGrid:
    """The grid with each channel's low end at code 0 and its high end at 255."""
    return CodeGrid(_living((spans.high - spans.low) / CODE_MAX), spans.low.copy())


def positive_grid(spans: ChannelRange) -> CodeGrid:
    """The grid with 0 at code 0 and each channel's high end at 255; for the input of a convolution that pads with 0."""
    return CodeGrid(_living(np.maximum(spans.high, 0.0) / CODE_MAX), np.zeros_like(spans.high))


def affine_prologue(rectifier: Rectifier, *, rounded: bool) -> tuple[Affine, CodeGrid]:
    """Integers for ``max(slope * code + offset, 0)``, and the grid that its result is on.

    The multiplier is a whole number of sixteenths, exactly: what is left goes into the grid's step and from there into
    the next weights. Each channel fills its 255 codes as far as a multiplier of at most 127/16 can; a narrower one
    keeps every code that it has.

    Args:
        rectifier: of codes.
        rounded: the result is rounded to codes; the half that this takes is put into the bias.
    """
    slope, offset = rectifier.slope, rectifier.offset
    ends = np.maximum(np.stack([offset, slope * CODE_MAX + offset]), 0.0)
    low, high = ends.min(axis=0), ends.max(axis=0)
    moving = high > low
    safe_slope = np.where(moving, slope, 1.0)
    wanted = np.floor(FINE_STEPS * CODE_MAX * np.abs(safe_slope) / np.where(moving, high - low, 1.0))
    multiplier = np.where(moving, np.clip(wanted, FINE_STEPS, SLOPE_MAX) * np.sign(safe_slope), 0.0)
    step = np.where(moving, FINE_STEPS * safe_slope / np.where(moving, multiplier, 1.0), 0.0)
    bias = np.where(moving, np.rint(FINE_STEPS * (offset - low) / np.where(moving, step, 1.0)), 0.0)
    bias += FINE_STEPS // 2 if rounded else 0
    prologue = Affine(multiplier.astype(np.int16), bias.astype(np.int16))
    prologue.check(rectifier.name)
    return prologue, CodeGrid(step, low)


def clamp_prologue(rectifier: Rectifier) -> tuple[Clamp, CodeGrid]:
    """A range of codes for ``max(slope * code + offset, 0)``, and the grid that its result is on.

    The threshold is rounded to a code, which leaves a constant error of up to half a step wherever the ReLU is at 0.
    """
    slope, offset = rectifier.slope, rectifier.offset
    rising, falling = slope > 0, slope < 0
    threshold = np.rint(-offset / np.where(slope == 0, 1.0, slope)).clip(0, CODE_MAX)
    low = np.where(rising, threshold, 0.0)
    high = np.select([rising, falling], [np.full_like(slope, CODE_MAX), threshold], 0.0)
    # Never above 0 within the codes: a constant.
    off = np.maximum(offset, slope * CODE_MAX + offset) <= 0
    high = np.where(off, low, high)
    step = np.where(off, 0.0, slope)
    zero = np.where(off, 0.0, np.where(slope == 0, np.maximum(offset, 0.0), offset))
    return Clamp(low.astype(np.uint8), high.astype(np.uint8)), CodeGrid(step, zero)


def prologue_of(rectifier: Rectifier, *, clamp: bool) -> tuple[Prologue, CodeGrid]:
    """Either form, for a convolution that reads codes."""
    return clamp_prologue(rectifier) if clamp else affine_prologue(rectifier, rounded=True)


def _living(step: Array) -> Array:
    """Steps with those of dead channels, of range 0, replaced by the median: an unseen image may wake one up."""
    alive = step > 0
    return np.where(alive, step, np.median(step[alive]) if alive.any() else 1.0)
