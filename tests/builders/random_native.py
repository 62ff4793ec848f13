"""Random integer DenseNets: no meaning, but codes that spread over their range, so that every rounding is exercised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.native_model import Affine, Clamp, Convolution, DenseLayer, Head, NativeNetwork, Transition

Generator = np.random.Generator


@dataclass(frozen=True)
class Shape:
    """What a random network looks like."""

    side: tuple[int, int] = (32, 32)
    blocks: tuple[int, ...] = (2, 2)
    stem: int = 32
    bottleneck: int = 48
    growth: int = 16
    outputs: int = 1
    affine: float = 0.7


DENSENET121 = Shape((224, 224), (6, 12, 24, 16), stem=64, bottleneck=128, growth=32, affine=1.0)


def random_shape(rng: Generator) -> Shape:
    """A small network of random geometry; channel counts are multiples of 16."""
    blocks = tuple(int(count) for count in rng.integers(1, 4, rng.integers(1, 4)))
    stride = 2 ** (len(blocks) + 1)
    height, width = (int(stride * rng.integers(1, 1 + 80 // stride)) for _ in range(2))
    stem, bottleneck, growth = (16 * int(rng.integers(1, 5)) for _ in range(3))
    return Shape((height, width), blocks, stem, bottleneck, growth, int(rng.integers(1, 4)), float(rng.random()))


def random_network(rng: Generator, shape: Shape) -> NativeNetwork:
    """A checked network of the shape."""
    channels, blocks, transitions = shape.stem, [], []
    for number, count in enumerate(shape.blocks):
        layers = []
        for _ in range(count):
            prologue = affine(rng, channels) if rng.random() < shape.affine else clamp(rng, channels)
            bottleneck = convolution(rng, shape.bottleneck, 1, channels, centre=40)
            growth = convolution(rng, shape.growth, 3, shape.bottleneck)
            layers.append(DenseLayer(prologue, bottleneck, growth))
            channels += shape.growth
        blocks.append(tuple(layers))
        if number < len(shape.blocks) - 1:
            halved = 16 * max(1, channels // 32)
            transitions.append(Transition(affine(rng, channels), convolution(rng, halved, 1, channels)))
            channels = halved
    stem = convolution(rng, shape.stem, 7, 1)
    network = NativeNetwork(
        *shape.side, 64.0, 128, stem, tuple(blocks), tuple(transitions), head(rng, shape.outputs, channels)
    )
    network.check()
    return network


def random_image(rng: Generator, network: NativeNetwork) -> np.ndarray:
    """A float32 image that reaches beyond both ends of the input's codes."""
    return rng.normal(0, 1, (network.height, network.width)).astype(np.float32)


def affine(rng: Generator, channels: int) -> Affine:
    """Multipliers of both signs, thresholds anywhere in the range, some channels constant."""
    multiplier = rng.integers(-64, 65, channels)
    bias = -multiplier * rng.integers(0, 200, channels) + rng.integers(0, 16, channels)
    return Affine(multiplier.astype(np.int16), bias.astype(np.int16))


def clamp(rng: Generator, channels: int) -> Clamp:
    """Lower or upper bounds."""
    low, high = rng.integers(0, 200, (2, channels))
    is_low = rng.random(channels) < 0.7
    return Clamp(np.where(is_low, low, 0).astype(np.uint8), np.where(is_low, 255, high).astype(np.uint8))


def convolution(rng: Generator, out: int, side: int, channels: int, centre: int = 128) -> Convolution:
    """Weights over the whole range, extremes included; outputs around ``centre`` with a spread of about 60 codes."""
    weights = rng.integers(-128, 128, (out, side, side, channels)).astype(np.int8)
    products = weights[0].size
    multiplier = (60 / (np.sqrt(products) * 74 * 110) * rng.uniform(0.5, 2, out)).astype(np.float32)
    typical = weights.reshape(out, -1).sum(axis=1) * 100.0
    bias = np.rint(centre / multiplier - typical).astype(np.int32)
    return Convolution(weights, bias, multiplier)


def head(rng: Generator, outputs: int, channels: int) -> Head:
    """As large weights as 32-bit sums allow."""
    limit = min(32767, (2**31 - 1) // 4080 // channels)
    weights = rng.integers(-limit, limit + 1, (outputs, channels)).astype(np.int16)
    multiplier = rng.uniform(1e-9, 1e-8, outputs).astype(np.float32)
    return Head(affine(rng, channels), weights, multiplier, rng.normal(0, 1, outputs).astype(np.float32))
