"""Exact rewrites: per-channel scales and shifts carried by the network's own affine maps, before anything is quantised.

A tensor that is quantised with one scale gives a narrow channel a handful of levels. Each function here moves a
channel's range into the neighbouring weights, so that afterwards every channel spans the grid of one common scale; in
real numbers the logits stay what they were, which `export.int8.exactness` measures for each rewrite:

1. norm2 is folded into conv1 and norm0 into the stem, already while reading (`export.int8.onnx_reader`).
2. `scale_hidden`: the input of a 3x3 convolution. ``ReLU(u / s) = ReLU(u) / s`` for s > 0, so the 1x1 convolution
   before it divides and the 3x3 weights multiply (cross-layer equalisation: Nagel et al., arXiv 1906.04721; Meller et
   al., 1902.01917). Never shifted: its padding must stay zero.
3. `normalise_pointwise`: the input of a 1x1 convolution. ``clip(a x + b)`` takes scale *and* shift in its affine map; a
   1x1 convolution has no padding, so the shift moves into its bias (compare Outlier Suppression+, arXiv 2304.09145).
4. `normalise_concatenation`: each channel of the concatenation itself, scaled and shifted where it is produced and
   undone in the affine map of every consumer.
5. `clamp_form`: ``ReLU(a x + b)`` is ``a max(x, t) + b`` for a > 0, ``a min(x, t) + b`` for a < 0, with t = -b / a; a
   and b go into the following weights, so on an INT8 concatenation nothing is multiplied.
6. `pool_first`: a 1x1 convolution and an average pooling commute, so a transition pools what the convolution reads: a
   quarter of its multiplications, and four values are averaged before they are rounded instead of after.

The parts are known; we know no tool that combines them for a concatenating pre-activation network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from calibration.ranges import ChannelRange, Ranges
from export.int8.network import Array, Convolution, DenseLayer, Network, Rectifier, Stem, Transition
from export.int8.options import Int8Options

__all__ = [
    "Grid",
    "clamp_form",
    "normalise_concatenation",
    "normalise_pointwise",
    "pool_first",
    "rewrite",
    "rewrite_steps",
    "scale_hidden",
    "signed_grid",
    "unsigned_grid",
]

Pair = Callable[[Rectifier, Convolution], tuple[Rectifier, Convolution]]
"""Changes a rectifier and the 1x1 convolution that reads it."""

LEVELS = 256
"""Steps of 2^-7 in [-1, 1): all that a signed 8-bit number counts."""

POSITIVE_LEVELS = 128
"""Steps of 2^-7 in [0, 1)."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How a tensor is stored: ``stored = (value - shift) / scale`` for each channel.

    Attributes:
        scale: ``[C]`` positive.
        shift: ``[C]``.
    """

    scale: Array
    shift: Array


def signed_grid(spans: ChannelRange, damping: float) -> Grid:
    """The grid that puts each channel's low end on -1 and its high end on 127/128, the ends of INT8 at scale 2^-7.

    Both ends are exact, and so is the zero of a ReLU, which most values of such a tensor are. That the low end is -1
    also makes the ReLU free: the quantiser saturates there.

    Args:
        spans: the channels' ranges.
        damping: 1 gives every channel its full resolution, 0 one scale to all; what lies between keeps the weights that
            the scales are folded into closer together.
    """
    scale = _damped((spans.high - spans.low) * (LEVELS / 2) / (LEVELS - 1), damping)
    return Grid(scale, spans.low + scale)


def unsigned_grid(spans: ChannelRange, damping: float) -> Grid:
    """The grid, without shift, that puts each channel's high end on 127/128; for tensors that are not negative."""
    return Grid(
        _damped(np.maximum(spans.high, 0) * POSITIVE_LEVELS / (POSITIVE_LEVELS - 1), damping),
        np.zeros_like(spans.high),
    )


def rewrite_steps(network: Network, ranges: Ranges, options: Int8Options) -> dict[str, Network]:
    """The network after each rewrite that the options ask for, in order; the last is the one to quantise.

    Args:
        network: as it was read.
        ranges: of its tensors.
        options: layout, damping, clamp form.

    Raises:
        DatasetError: a range is missing.
    """
    steps = {"folded normalisations": network}
    steps["pooling before transition convolutions"] = network = pool_first(network)
    steps["scaled inputs of 3x3 convolutions"] = network = scale_hidden(network, ranges, options.damping)
    if options.layout == "all-int8":
        steps["normalised concatenation"] = network = normalise_concatenation(network, ranges)
    if options.clamp:
        steps["clamp form"] = clamp_form(network)
    else:
        steps["normalised inputs of 1x1 convolutions"] = normalise_pointwise(
            network, ranges, options.damping, options.keep_float
        )
    return steps


def rewrite(network: Network, ranges: Ranges, options: Int8Options) -> Network:
    """The network after every rewrite that the options ask for."""
    return list(rewrite_steps(network, ranges, options).values())[-1]


def pool_first(network: Network) -> Network:
    """Rewrite 6: transitions average before they convolve."""
    return network.with_layers(transition=lambda part: replace(part, pool_first=True))


def scale_hidden(network: Network, ranges: Ranges, damping: float = 1.0) -> Network:
    """Rewrite 2: inputs of the 3x3 convolutions scaled to [0, 127/128]."""

    def scaled(layer: DenseLayer) -> DenseLayer:
        grid = unsigned_grid(ranges.of(layer.hidden), damping)
        return replace(layer, reduce=layer.reduce.with_outputs(grid.scale), grow=layer.grow.with_inputs(grid.scale))

    return network.with_layers(scaled)


def normalise_pointwise(
    network: Network, ranges: Ranges, damping: float = 1.0, keep_float: Collection[str] = ()
) -> Network:
    """Rewrite 3: inputs of 1x1 convolutions scaled and shifted to [-1, 127/128], except where they stay float."""

    def pair(rectifier: Rectifier, convolution: Convolution) -> tuple[Rectifier, Convolution]:
        if convolution.name in keep_float:
            return rectifier, convolution
        grid = signed_grid(ranges.of(f"{rectifier.name}.relu"), damping)
        return rectifier.with_outputs(grid.scale, grid.shift), convolution.with_inputs(grid.scale, grid.shift)

    return _with_pairs(network, pair)


def clamp_form(network: Network) -> Network:
    """Rewrite 5: rectifiers become a per-channel minimum or maximum of the tensor that they read."""
    return _with_pairs(network, _clamped)


def _clamped(rectifier: Rectifier, convolution: Convolution) -> tuple[Rectifier, Convolution]:
    slope, offset = rectifier.slope, rectifier.offset
    rising, falling, flat = slope > 0, slope < 0, slope == 0
    divisor = np.where(flat, 1.0, slope)
    ends = (rectifier.floor - offset) / divisor, (rectifier.ceiling - offset) / divisor
    low = np.select([rising, falling], [ends[0], ends[1]], 0.0)
    high = np.select([rising, falling], [ends[1], ends[0]], 0.0)
    constant = np.clip(offset, rectifier.floor, rectifier.ceiling)
    clamped = Rectifier(rectifier.name, np.ones_like(slope), np.zeros_like(slope), low, high)
    return clamped, convolution.with_inputs(slope, np.where(flat, constant, offset))


def normalise_concatenation(network: Network, ranges: Ranges) -> Network:
    """Rewrite 4: every channel that enters a concatenation scaled and shifted to [-1, 127/128].

    Max pooling commutes with a rising map, and average pooling with any affine one, so the stem's and the transitions'
    channels are scaled in front of their poolings; the stem's floor moves with the shift (``max(u - z, -z)``).
    """
    stem = network.stem
    grid = signed_grid(ranges.of(stem.pool), 1.0)
    convolution = stem.convolution.with_outputs(grid.scale, grid.shift)
    changed = Stem(convolution, (stem.floor - grid.shift) / grid.scale, stem.pool)
    blocks = []
    for block in network.blocks:
        layers = []
        for layer in block.layers:
            produced = signed_grid(ranges.of(layer.grow.name), 1.0)
            layers.append(
                replace(
                    layer,
                    rectifier=layer.rectifier.with_inputs(grid.scale, grid.shift),
                    grow=layer.grow.with_outputs(produced.scale, produced.shift),
                )
            )
            grid = _joined(grid, produced)
        transition = block.transition
        if transition is not None:
            rectifier = transition.rectifier.with_inputs(grid.scale, grid.shift)
            grid = signed_grid(ranges.of(transition.pool), 1.0)
            convolution = transition.convolution.with_outputs(grid.scale, grid.shift)
            transition = replace(transition, rectifier=rectifier, convolution=convolution)
        blocks.append(replace(block, layers=tuple(layers), transition=transition))
    last = network.last.with_inputs(grid.scale, grid.shift)
    return replace(network, stem=changed, blocks=tuple(blocks), last=last)


def _with_pairs(network: Network, pair: Pair) -> Network:
    """The network with a function applied to every rectifier and the 1x1 convolution that reads it."""

    def layer(part: DenseLayer) -> DenseLayer:
        rectifier, reduce = pair(part.rectifier, part.reduce)
        return replace(part, rectifier=rectifier, reduce=reduce)

    def transition(part: Transition) -> Transition:
        rectifier, convolution = pair(part.rectifier, part.convolution)
        return replace(part, rectifier=rectifier, convolution=convolution)

    last, head = pair(network.last, network.head)
    return replace(network.with_layers(layer, transition), last=last, head=head)


def _joined(grid: Grid, other: Grid) -> Grid:
    return Grid(np.concatenate([grid.scale, other.scale]), np.concatenate([grid.shift, other.shift]))


def _damped(scale: Array, damping: float) -> Array:
    """Scales between their own (exponent 1) and the largest of them (0); a dead channel's is the median of the others.

    A dead channel, of range 0, is stored as a constant that the grid holds exactly whatever its scale. The median keeps
    its weights as large as the others', and it lives on if an image that was not seen wakes it up.
    """
    alive = scale > 0
    if not alive.any():
        return np.ones_like(scale)
    scale = np.where(alive, scale, np.median(scale[alive]))
    largest = scale.max()
    return np.asarray(largest * (scale / largest) ** damping)
