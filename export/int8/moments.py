"""Means and covariances of what each convolution reads on the range images, as the rounding of weights needs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from calibration.ranges import TappedModel
from export.int8.activation_grid import ActivationGrid
from export.int8.network import Array, Convolution

__all__ = ["InputMoments", "collect_moments"]

Real = TypeVar("Real", np.float32, np.float64)
Activations = NDArray[np.float32]

POSITIONS = 48
"""Output positions of each layer that are sampled in each image: their patches make the covariance."""


@dataclass(frozen=True, slots=True, eq=False)
class InputMoments:
    """Moments of the patches that a convolution reads, in the order of its flattened weights (channel, row, column).

    Attributes:
        mean: ``[in * kh * kw]`` of the FP32 values.
        rounded_mean: the same of the values after quantisation.
        covariance: ``[in * kh * kw, in * kh * kw]`` of the values after quantisation; None where it was not asked for.
    """

    mean: Array
    rounded_mean: Array
    covariance: Array | None


def collect_moments(
    model: bytes,
    convolutions: Mapping[str, Convolution],
    tensors: Mapping[str, str],
    grids: Mapping[str, ActivationGrid],
    batches: Collection[NDArray[np.float32]],
    *,
    covariance: bool,
    seed: int = 0,
    on_batch: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, InputMoments]:
    """Moments for every convolution, from its input in a float model.

    Means are over every position; covariances over `POSITIONS` random ones an image, which is where the time goes.

    Args:
        model: ONNX of the *rewritten* network in FP32, so that the values are those that will be quantised.
        convolutions: by name.
        tensors: name of each one's input in that model.
        grids: how each one's input will be rounded.
        batches: network inputs.
        covariance: collect it too; means alone are quick.
        seed: of the positions.
        on_batch: told how many batches are done, and of how many.
    """
    tapped = TappedModel(model, tuple(dict.fromkeys(tensors[name] for name in convolutions)))
    sums = {name: _Sums(convolution, grids[name], covariance=covariance) for name, convolution in convolutions.items()}
    random = np.random.default_rng(seed)
    for done, batch in enumerate(batches, start=1):
        values = tapped.run(batch)
        for name in convolutions:
            sums[name].add(values[tensors[name]], random)
        on_batch(done, len(batches))
    return {name: part.moments() for name, part in sums.items()}


class _Sums:
    """Running sums for one convolution."""

    def __init__(self, convolution: Convolution, grid: ActivationGrid, *, covariance: bool) -> None:
        self.convolution, self.grid = convolution, grid
        size = convolution.weight[0].size
        self.mean, self.rounded_mean, self.positions = np.zeros(size), np.zeros(size), 0
        self.products = np.zeros((size, size)) if covariance else None
        self.sum, self.samples = np.zeros(size), 0

    def add(self, value: Activations, random: np.random.Generator) -> None:
        """Take the inputs ``[N, C, H, W]`` of one batch in."""
        rounded = self.grid.rounded(value)
        # Summed over the images first: nine windows of one image cost less than those of a batch.
        mean, rounded_mean = (
            self._patches(part.sum(axis=0, keepdims=True, dtype=np.float64)) for part in (value, rounded)
        )
        self.mean += mean.sum(axis=(0, 4, 5)).ravel()
        self.rounded_mean += rounded_mean.sum(axis=(0, 4, 5)).ravel()
        self.positions += len(value) * mean.shape[4] * mean.shape[5]
        if self.products is not None:
            rows = self._sampled(self._patches(rounded), random)
            self.products += rows.T @ rows  # float32 is enough: a batch's sum of a few hundred products
            self.sum += rows.sum(axis=0, dtype=np.float64)
            self.samples += len(rows)

    def moments(self) -> InputMoments:
        """The moments of everything taken in."""
        covariance = None
        if self.products is not None:
            mean = self.sum / self.samples
            covariance = self.products / self.samples - np.outer(mean, mean)
        return InputMoments(self.mean / self.positions, self.rounded_mean / self.positions, covariance)

    def _sampled(self, patches: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
        """``[samples, in * kh * kw]``: the patches at a few positions of each image."""
        height, width = patches.shape[4:]
        chosen = random.integers(height * width, size=min(POSITIONS, height * width))
        found = patches[:, :, :, :, chosen // width, chosen % width]
        return np.asarray(found.transpose(0, 4, 1, 2, 3).reshape(-1, len(self.sum)), np.float32)

    def _patches(self, value: NDArray[Real]) -> NDArray[Real]:
        """A view ``[N, C, kh, kw, rows, columns]`` of the padded value: what each output position reads."""
        padding, stride = self.convolution.padding, self.convolution.stride
        if padding:
            value = np.pad(value, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        kernel = self.convolution.weight.shape[2:]
        windows = np.lib.stride_tricks.sliding_window_view(value, kernel, axis=(2, 3))
        patches: NDArray[Real] = windows[:, :, ::stride, ::stride].transpose(0, 1, 4, 5, 2, 3)
        return patches
