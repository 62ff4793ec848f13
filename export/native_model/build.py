"""From the FP32 network and its ranges to integers for our own engine.

The rewrites are those of `export.int8.rewrites` with grids that our engine can have and Q/DQ graphs cannot: unsigned
codes that use all 256 levels, one grid for each channel of the concatenation, thresholds in sixteenths of a code.

Layer by layer, the integers made so far run on the range images, and each bias takes the whole shift of its output's
mean against the FP32 network: of rounded weights, rounded inputs and everything before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.ranges import Ranges
from cxr_edge.errors import UsageError
from export.int8 import network as floats
from export.int8 import read_network
from export.int8.moments import InputMoments
from export.int8.weights import Rounding, quantise_convolution
from export.native_model import interpreter
from export.native_model.code_grids import CodeGrid, affine_prologue, positive_grid, prologue_of, spanning_grid
from export.native_model.layers import (
    CODE_MAX,
    FINE_MAX,
    FINE_STEPS,
    INT32_MAX,
    MULTIPLIER_MAX,
    Convolution,
    DenseLayer,
    Head,
    Transition,
    largest_sum,
)
from export.native_model.output_means import OutputMeans, collect_output_means
from export.native_model.record import NativeNetwork

__all__ = ["NativeOptions", "build_native"]

Codes = NDArray[np.uint8]
"""``[N, h, w, C]``."""

POSITIONS = 64
"""Output positions of each layer that are sampled in each image for the covariance of its inputs."""


@dataclass(frozen=True, slots=True)
class NativeOptions:
    """How the integers are made.

    Attributes:
        clamp: prologues of the dense layers in the clamp form; affine otherwise.
        rounding: of the weights, see `export.int8.weights`.
        bias_correction: let biases take the shift of each output's mean.
        image_span: the image's codes reach from ``-image_span`` to ``image_span``.
        seed: of the sampled positions.
    """

    clamp: bool = False
    rounding: Rounding = "output-error"
    bias_correction: bool = True
    image_span: float = 1.0
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


def build_native(
    fp32_model: bytes,
    ranges: Ranges,
    images: NDArray[np.float32],
    options: NativeOptions | None = None,
    *,
    on_layer: Callable[[str], None] = lambda name: None,
) -> NativeNetwork:
    """The integers.

    Args:
        fp32_model: bytes of the ONNX file that `export.onnx_graph` wrote.
        ranges: of its tensors, by channel.
        images: ``[N, 1, H, W]``, network inputs of the range images.
        options: how; None means the defaults.
        on_layer: told the name of each convolution that is done.

    Raises:
        UnsupportedInputError: the model is none of ours.
        DatasetError: the ranges lack a tensor.
        UsageError: no images.
    """
    if not len(images):
        raise UsageError("the integers of our own engine are fitted on the range images: give them")
    network = read_network(fp32_model)
    means = collect_output_means(fp32_model, network, images)
    return _Builder(network, ranges, means, options or NativeOptions(), on_layer).build(images[:, 0])


@dataclass
class _Builder:
    """Makes one layer after the other and runs it on the range images."""

    network: floats.Network
    ranges: Ranges
    means: OutputMeans
    options: NativeOptions
    on_layer: Callable[[str], None]
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.options.seed)

    def build(self, images: NDArray[np.float32]) -> NativeNetwork:
        """The network; images are ``[N, H, W]``."""
        scale = float(np.float32((CODE_MAX // 2) / self.options.image_span))
        stem, codes, grid = self._stem(images, scale)
        blocks: list[tuple[DenseLayer, ...]] = []
        transitions: list[Transition] = []
        for block in self.network.blocks:
            layers = []
            for part in block.layers:
                layer, codes, grid = self._dense_layer(part, codes, grid)
                layers.append(layer)
            blocks.append(tuple(layers))
            if block.transition is not None:
                transition, codes, grid = self._transition(block.transition, codes, grid)
                transitions.append(transition)
        _, height, width = self.network.image
        zero = CODE_MAX // 2 + 1
        head = self._head(codes, grid)
        built = NativeNetwork(height, width, scale, zero, stem, tuple(blocks), tuple(transitions), head)
        built.check()
        return built

    def _stem(self, images: NDArray[np.float32], scale: float) -> tuple[Convolution, Codes, CodeGrid]:
        stem, zero = self.network.stem, CODE_MAX // 2 + 1
        # An image's code is pixel * scale + zero; the padding's code is that of 0.0, so the shift is exact there, too.
        on_codes = replace(stem.convolution, padding=0).with_inputs(np.full(1, 1 / scale), np.full(1, -zero / scale))
        grid = spanning_grid(self.ranges.of(stem.pool)).for_output_of(on_codes)
        codes = interpreter.to_codes(images * np.float32(scale) + np.float32(zero))
        padded = np.pad(codes, ((0, 0), (3, 3), (3, 3)), constant_values=zero)[..., None]
        convolution = self._convolution(on_codes, grid, padded, stride=2)
        pooled = np.stack([interpreter.maximum_pool(interpreter.convolve(convolution, one, 2)) for one in padded])
        return convolution, pooled, grid

    def _dense_layer(self, part: floats.DenseLayer, codes: Codes, grid: CodeGrid) -> tuple[DenseLayer, Codes, CodeGrid]:
        prologue, inner = prologue_of(part.rectifier.with_inputs(grid.step, grid.zero), clamp=self.options.clamp)
        inputs = interpreter.prologue_codes(prologue, codes)
        reduce = part.reduce.with_inputs(inner.step, inner.zero)
        hidden = positive_grid(self.ranges.of(part.hidden)).for_output_of(reduce)
        bottleneck = self._convolution(reduce, hidden, inputs)
        middle = np.stack([interpreter.convolve(bottleneck, one) for one in inputs])
        padded = np.pad(middle, ((0, 0), (1, 1), (1, 1), (0, 0)))
        grow = part.grow.with_inputs(hidden.step)
        produced = spanning_grid(self.ranges.of(part.grow.name)).for_output_of(grow)
        growth = self._convolution(grow, produced, padded)
        grown = np.stack([interpreter.convolve(growth, one) for one in padded])
        layer = DenseLayer(prologue, bottleneck, growth)
        return layer, np.concatenate([codes, grown], axis=3), grid.joined(produced)

    def _transition(self, part: floats.Transition, codes: Codes, grid: CodeGrid) -> tuple[Transition, Codes, CodeGrid]:
        prologue, inner = affine_prologue(part.rectifier.with_inputs(grid.step, grid.zero), rounded=False)
        fine = interpreter.sixteenths(prologue, codes)
        inputs = interpreter.averaged(fine)
        on_codes = part.convolution.with_inputs(inner.step, inner.zero)
        produced = spanning_grid(self.ranges.of(part.pool)).for_output_of(on_codes)
        convolution = self._convolution(on_codes, produced, inputs)
        out = np.stack([interpreter.convolve(convolution, one) for one in inputs])
        return Transition(prologue, convolution), out, produced

    def _head(self, codes: Codes, grid: CodeGrid) -> Head:
        """Weights as large as 32-bit sums allow; each bias takes the shift of its map's mean."""
        prologue, inner = affine_prologue(self.network.last.with_inputs(grid.step, grid.zero), rounded=False)
        on_fine = self.network.head.with_inputs(inner.step / FINE_STEPS, inner.zero)
        rows = on_fine.weight[:, :, 0, 0]
        room = INT32_MAX // FINE_MAX - rows.shape[1]
        scale = np.maximum(np.abs(rows).sum(axis=1) / room, np.abs(rows).max(axis=1) / 32767)
        scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
        weights = np.rint(rows / scale[:, None].astype(np.float64)).astype(np.int16)
        bias = on_fine.bias
        if self.options.bias_correction:
            mean = interpreter.sixteenths(prologue, codes).mean(axis=(0, 1, 2))
            bias = self.means.of(self.network.head.name) - (weights @ mean) * scale
        self.on_layer(self.network.head.name)
        return Head(prologue, weights, scale, bias.astype(np.float32))

    def _convolution(self, on_codes: floats.Convolution, grid: CodeGrid, padded: Codes, stride: int = 1) -> Convolution:
        """Integers for a convolution of codes whose result is to lie on a grid.

        Args:
            on_codes: its input is codes, its output real numbers.
            grid: of the output.
            padded: ``[N, h, w, in]``, what it reads on the range images.
            stride: of the convolution.
        """
        wanted = on_codes.with_outputs(grid.step, grid.zero)
        inputs = self._moments(padded, on_codes.weight.shape[2], stride)
        integers = quantise_convolution(wanted, inputs, rounding=self.options.rounding, bias_correction=False)
        scale = integers.scale.astype(np.float64)
        bias = wanted.bias
        if self.options.bias_correction:
            mean = (self.means.of(on_codes.name) - grid.zero) / grid.step
            rows = integers.weight.reshape(len(scale), -1).astype(np.float64)
            bias = mean - (rows @ inputs.rounded_mean) * scale
        self.on_layer(on_codes.name)
        return _integer_convolution(integers.weight, scale, bias)

    def _moments(self, padded: Codes, side: int, stride: int) -> InputMoments:
        """Means over every position, covariance over `POSITIONS` of each image, in the order channel, row, column."""
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))[:, ::stride, ::stride]
        total = padded.sum(axis=0, keepdims=True, dtype=np.int64)
        summed = np.lib.stride_tricks.sliding_window_view(total, (side, side), axis=(1, 2))[:, ::stride, ::stride]
        mean = summed.mean(axis=(0, 1, 2)).ravel() / len(padded)
        height, width = windows.shape[1:3]
        chosen = self.random.integers(height * width, size=(len(padded), POSITIONS))
        rows = windows[np.arange(len(padded))[:, None], chosen // width, chosen % width]
        centred = rows.reshape(-1, len(mean)).astype(np.float64) - mean
        return InputMoments(mean, mean, centred.T @ centred / len(centred))


def _integer_convolution(
    weight: NDArray[np.int8], scale: NDArray[np.float64], bias: NDArray[np.float64]
) -> Convolution:
    """The record, with the bias in units of the accumulator; a filter of zeros may have any scale."""
    dead = ~weight.any(axis=(1, 2, 3))
    scale = np.where(dead, MULTIPLIER_MAX, scale)
    if (scale > MULTIPLIER_MAX).any():
        raise UsageError(f"a filter's step is {scale.max():.3g} output codes; its output range is too narrow for INT8")
    room = INT32_MAX - largest_sum(weight[0].size)
    integer_bias = np.rint(bias / scale).clip(-room, room)
    return Convolution(
        np.ascontiguousarray(weight.transpose(0, 2, 3, 1)), integer_bias.astype(np.int32), scale.astype(np.float32)
    )
