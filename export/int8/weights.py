"""INT8 weights: one symmetric scale per output channel, rounding that minds the output, and a bias that takes the rest.

Three ways to round, each with more knowledge of the layer's inputs:

- ``nearest``: scale from the largest weight, every weight to the nearest level.
- ``scale-search``: the same, with the scale whose expected squared output error is least.
- ``output-error``: the searched scale, then weights rounded one input at a time, the error of each spread over those
  not yet rounded, by the inputs' covariance (Frantar et al., GPTQ, arXiv 2210.17323; OBQ, arXiv 2208.11580).

What rounding shifts in the mean of an output is known and goes into the bias (Nagel et al., arXiv 1906.04721), so
rounding only has to mind the *covariance* of the inputs, not their second moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError
from export.int8.moments import InputMoments
from export.int8.network import Array, Convolution

__all__ = ["ROUNDINGS", "QuantisedConvolution", "Rounding", "quantise_convolution"]

Rounding = Literal["nearest", "scale-search", "output-error"]
ROUNDINGS: tuple[Rounding, ...] = ("nearest", "scale-search", "output-error")

LARGEST = 127
"""Largest integer weight; -128 is left out so that the grid is symmetric, as TensorRT asks."""

SHRINKAGE = tuple(np.linspace(1.0, 0.8, 9))
"""Scales that are tried, as shares of the one that clips nothing."""

FP16_PRECISE = 2.0**-18
"""Above it the next FP16 number is at most 1.6 % away (0.1 % above 2^-14, where FP16 is normal)."""

SMALLEST_VARIANCE = 1e-12
"""Of inputs on [-1, 1) that never change: keeps the covariance invertible."""

RIDGE = 0.01
"""Added to the covariance's diagonal, as a share of its mean: directions that no image shows are left to rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class QuantisedConvolution:
    """A convolution whose weights are integers times a scale per output channel.

    Attributes:
        name: of the layer in the checkpoint.
        weight: ``[out, in, kh, kw]`` int8, -127 to 127.
        scale: ``[out]`` float32, positive: real weight = integer x scale.
        bias: ``[out]`` float32, the real bias with what quantisation shifts taken back.
        stride: in both directions, pixels.
        padding: on all four sides, pixels.
    """

    name: str
    weight: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int
    padding: int

    def dequantised(self) -> Convolution:
        """The convolution in real numbers that these integers stand for."""
        weight = self.weight.astype(np.float64) * self.scale[:, None, None, None].astype(np.float64)
        return Convolution(self.name, weight, self.bias.astype(np.float64), self.stride, self.padding)


def quantise_convolution(
    convolution: Convolution, moments: InputMoments | None, *, rounding: Rounding, bias_correction: bool
) -> QuantisedConvolution:
    """The integers for one convolution.

    Args:
        convolution: rewritten, so that its input spans the activation grid.
        moments: of its input on the range images; needed by all but plain nearest rounding.
        rounding: how weights become integers.
        bias_correction: let the bias take the expected shift of the output by rounded weights and rounded inputs.

    Raises:
        UsageError: an unknown rounding, or moments are missing that it needs.
    """
    if rounding not in ROUNDINGS:
        raise UsageError(f"weight rounding {rounding!r} is unknown; use {', '.join(ROUNDINGS)}")
    covariance = None if moments is None else moments.covariance
    if (bias_correction and moments is None) or (rounding != "nearest" and covariance is None):
        raise UsageError("rounding by output error and bias correction need the range images, not only their ranges")
    rows = convolution.weight.reshape(len(convolution.weight), -1)
    integers, scale = _integers(rows, rounding, covariance)
    bias = convolution.bias
    if bias_correction and moments is not None:
        bias = bias - _expected_shift(rows, integers * scale[:, None], moments)
    return QuantisedConvolution(
        convolution.name,
        integers.reshape(convolution.weight.shape).astype(np.int8),
        scale.astype(np.float32),
        bias.astype(np.float32),
        convolution.stride,
        convolution.padding,
    )


def _integers(rows: Array, rounding: Rounding, covariance: Array | None) -> tuple[Array, Array]:
    """Integers ``[out, in]`` and scales ``[out]``, both float64."""
    scale = _largest_scale(rows)
    if rounding != "nearest" and covariance is not None:
        scale = _searched_scale(rows, scale, covariance)
    scale = _storable(scale)
    if rounding == "output-error" and covariance is not None:
        return _rounded_by_output(rows, scale, covariance), scale
    return _nearest(rows, scale), scale


def _largest_scale(rows: Array) -> Array:
    """The scale of each row that clips nothing; 1 for a row of zeros."""
    largest = np.abs(rows).max(axis=1)
    return np.where(largest > 0, largest, LARGEST) / LARGEST


def _storable(scale: Array) -> Array:
    """The scales as FP16 numbers where FP16 is precise, else FP32: rounded *before* the integers, which make it good.

    Rounded up, so that the largest weight stays within the integers.
    """
    half = scale.astype(np.float16)
    half = np.where(half < scale, np.nextafter(half, np.float16(np.inf)), half)
    return np.where(scale >= FP16_PRECISE, half.astype(np.float64), scale.astype(np.float32).astype(np.float64))


def _nearest(rows: Array, scale: Array) -> Array:
    return np.clip(np.rint(rows / scale[:, None]), -LARGEST, LARGEST)


def _searched_scale(rows: Array, largest: Array, covariance: Array) -> Array:
    """The scale of each row, among `SHRINKAGE` of the largest, with the least expected squared output error."""
    best, chosen = np.full(len(rows), np.inf), np.copy(largest)
    for share in SHRINKAGE:
        scale = largest * share
        error = _nearest(rows, scale) * scale[:, None] - rows
        loss = np.einsum("oi,oi->o", error @ covariance, error)
        better = loss < best
        best, chosen = np.where(better, loss, best), np.where(better, scale, chosen)
    return np.asarray(chosen, np.float64)


def _rounded_by_output(rows: Array, scale: Array, covariance: Array) -> Array:
    """Integers, one input after the other, each rounding error made good by the inputs that are still to come.

    With the upper Cholesky factor U of the inverse covariance, the best change of the remaining weights for an error e
    at input i is ``-e * U[i, i+1:] / U[i, i]`` (arXiv 2210.17323, section 3.3). Inputs of large variance come first:
    their errors cost most and find most inputs left to make them good.
    """
    variance = np.diag(covariance)
    order = np.argsort(-variance, kind="stable")
    ridge = RIDGE * max(float(variance.mean()), SMALLEST_VARIANCE)
    ordered = covariance[np.ix_(order, order)] + ridge * np.eye(len(order))
    factor = np.linalg.cholesky(np.linalg.inv(ordered)).T
    remaining, integers = rows[:, order].copy(), np.empty_like(rows)
    for position, column in enumerate(order):
        rounded = np.clip(np.rint(remaining[:, position] / scale), -LARGEST, LARGEST)
        integers[:, column] = rounded
        error = (remaining[:, position] - rounded * scale) / factor[position, position]
        remaining[:, position + 1 :] -= error[:, None] * factor[position, position + 1 :]
    return integers


def _expected_shift(rows: Array, rounded: Array, moments: InputMoments) -> Array:
    """Mean of (rounded weights on rounded inputs) minus (real weights on real inputs), for each output channel."""
    shift: Array = rounded @ moments.rounded_mean - rows @ moments.mean
    return shift
