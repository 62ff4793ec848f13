"""What each convolution of the FP32 network gives on average on the range images: what the integers' biases aim at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.ranges import TappedModel
from export.int8.network import Array, Convolution, Network

__all__ = ["OutputMeans", "collect_output_means"]


@dataclass(frozen=True, slots=True)
class OutputMeans:
    """Means over images and positions.

    Attributes:
        values: ``[out]`` by the convolution's name; its bias is in them, an activation after it is not.
    """

    values: Mapping[str, Array]

    def of(self, name: str) -> Array:
        """The means of one convolution."""
        return self.values[name]


def collect_output_means(fp32_model: bytes, network: Network, images: NDArray[np.float32]) -> OutputMeans:
    """The means, from one pass over the images.

    A 1x1 convolution's follow from the means of its input. A padded one's don't: the means of its own output are taken,
    or for the stem, whose normalisation the FP32 graph has as a node of its own, of a convolution of the mean image.

    Args:
        fp32_model: bytes of the ONNX file.
        network: as it was read from it, normalisations folded.
        images: ``[N, 1, H, W]``.
    """
    inputs = network.input_tensors()
    pointwise = {c.name: c for c in network.convolutions().values() if c.weight.shape[2] == 1}
    grown = [layer.grow.name for layer in network.layers()]
    tensors = tuple(dict.fromkeys([inputs[name] for name in pointwise] + grown))
    sums = {tensor: np.zeros(1) for tensor in tensors}
    tapped = TappedModel(fp32_model, tensors)
    for image in images:
        for tensor, value in tapped.run(image[None]).items():
            sums[tensor] = sums[tensor] + value.mean(axis=(0, 2, 3), dtype=np.float64)
    means = {tensor: total / len(images) for tensor, total in sums.items()}
    found = {name: means[name] for name in grown}
    for name, convolution in pointwise.items():
        found[name] = convolution.weight[:, :, 0, 0] @ means[inputs[name]] + convolution.bias
    stem = network.stem.convolution
    found[stem.name] = _mean_of_padded(stem, images.mean(axis=(0, 1), dtype=np.float64))
    return OutputMeans(found)


def _mean_of_padded(convolution: Convolution, image: Array) -> Array:
    """Mean of a padded convolution of one image of one channel."""
    padded = np.pad(image, convolution.padding)
    side, stride = convolution.weight.shape[2], convolution.stride
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))[::stride, ::stride]
    mean: Array = np.einsum("oij,ij->o", convolution.weight[:, 0], windows.mean(axis=(0, 1)))
    return mean + convolution.bias
