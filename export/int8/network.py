"""A densely connected, pre-activation network as layers and numbers, free of any file format.

Every rewrite maps a `Network` to a `Network` that computes the same logits, so the layers are general enough for the
original and for the rewritten one: a rectifier is a per-channel affine map clipped to per-channel bounds, of which
``max(x, 0)`` is the simplest case. Arithmetic on weights is float64; rounding to float32 is the writer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Convolution", "DenseBlock", "DenseLayer", "Network", "Rectifier", "Stem", "Transition"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Convolution:
    """A two-dimensional convolution with square stride and zero padding.

    Attributes:
        name: of the layer in the checkpoint.
        weight: ``[out, in, kh, kw]`` float64.
        bias: ``[out]`` float64.
        stride: in both directions, pixels.
        padding: on all four sides, pixels.
    """

    name: str
    weight: Array
    bias: Array
    stride: int = 1
    padding: int = 0

    def with_inputs(self, scale: Array, shift: Array | None = None) -> Convolution:
        """The convolution of ``v`` that equals this one of ``scale * v + shift``.

        Args:
            scale: ``[in]``, of the input channels.
            shift: ``[in]``; None means no shift.

        Raises:
            ValueError: a shift of the inputs of a padded convolution: its padding would no longer be zero.
        """
        bias = self.bias
        if shift is not None:
            if self.padding:
                raise ValueError(f"{self.name} pads its input with zeros; its input channels cannot be shifted")
            bias = bias + self.weight.sum(axis=(2, 3)) @ shift
        return replace(self, weight=self.weight * scale[None, :, None, None], bias=bias)

    def with_outputs(self, scale: Array, shift: Array | None = None) -> Convolution:
        """The convolution whose output is ``(y - shift) / scale`` where this one's is ``y``.

        Args:
            scale: ``[out]``, not zero.
            shift: ``[out]``; None means no shift.
        """
        bias = self.bias if shift is None else self.bias - shift
        return replace(self, weight=self.weight / scale[:, None, None, None], bias=bias / scale)


@dataclass(frozen=True, slots=True)
class Rectifier:
    """``clip(slope * x + offset, floor, ceiling)`` for each channel; a normalisation and its ReLU have floor 0.

    Attributes:
        name: of the normalisation in the checkpoint.
        slope, offset: ``[C]`` float64.
        floor, ceiling: ``[C]`` float64; may be infinite.
    """

    name: str
    slope: Array
    offset: Array
    floor: Array
    ceiling: Array

    @classmethod
    def relu(cls, name: str, slope: Array, offset: Array) -> Rectifier:
        """``max(slope * x + offset, 0)``."""
        return cls(name, slope, offset, np.zeros_like(slope), np.full_like(slope, np.inf))

    def with_inputs(self, scale: Array, shift: Array) -> Rectifier:
        """The rectifier of ``v`` that equals this one of ``scale * v + shift``."""
        return replace(self, slope=self.slope * scale, offset=self.offset + self.slope * shift)

    def with_outputs(self, scale: Array, shift: Array) -> Rectifier:
        """The rectifier that gives ``(y - shift) / scale`` where this one gives ``y``; all scales are positive."""
        return replace(
            self,
            slope=self.slope / scale,
            offset=(self.offset - shift) / scale,
            floor=(self.floor - shift) / scale,
            ceiling=(self.ceiling - shift) / scale,
        )


@dataclass(frozen=True, slots=True)
class Stem:
    """The first convolution (norm0 folded in), ``max(y, floor)``, and a 3x3 maximum pooling of stride 2.

    Attributes:
        convolution: of the image.
        floor: ``[C]``; 0 in the original network.
        pool: name of the pooling.
    """

    convolution: Convolution
    floor: Array
    pool: str


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A bottleneck layer, whose output is appended to its input's channels.

    Attributes:
        name: prefix of the layer's names in the checkpoint.
        rectifier: norm1 and its ReLU, on all channels so far.
        reduce: the 1x1 convolution conv1, norm2 folded in; a ReLU follows.
        hidden: name of that ReLU's output in the FP32 graph.
        grow: the 3x3 convolution conv2.
    """

    name: str
    rectifier: Rectifier
    reduce: Convolution
    hidden: str
    grow: Convolution


@dataclass(frozen=True, slots=True)
class Transition:
    """Between dense blocks: a rectifier, a 1x1 convolution, a 2x2 average pooling.

    Attributes:
        name: prefix of the names in the checkpoint.
        rectifier: norm and its ReLU.
        convolution: 1x1.
        pool: name of the pooling.
        pool_first: whether the pooling stands between rectifier and convolution instead of behind it.
    """

    name: str
    rectifier: Rectifier
    convolution: Convolution
    pool: str
    pool_first: bool = False


@dataclass(frozen=True, slots=True)
class DenseBlock:
    """Layers that share one growing concatenation, and what follows them.

    Attributes:
        name: in the checkpoint.
        layers: in order, at least one.
        transition: to the next block; None after the last.
    """

    name: str
    layers: tuple[DenseLayer, ...]
    transition: Transition | None


@dataclass(frozen=True, slots=True)
class Network:
    """The whole network: stem, dense blocks, the last rectifier, and the head whose map's mean is the logit.

    Attributes:
        image: channels, height and width of the input.
        stem, blocks: the features.
        last: norm5 and its ReLU.
        head: 1x1 convolution giving the class-activation map of K channels.
    """

    image: tuple[int, int, int]
    stem: Stem
    blocks: tuple[DenseBlock, ...]
    last: Rectifier
    head: Convolution

    def layers(self) -> Iterator[DenseLayer]:
        """Every dense layer in order."""
        for block in self.blocks:
            yield from block.layers

    def transitions(self) -> Iterator[Transition]:
        """Every transition in order."""
        for block in self.blocks:
            if block.transition is not None:
                yield block.transition

    def convolutions(self) -> dict[str, Convolution]:
        """Every convolution by name, in the order in which they run."""
        found = [self.stem.convolution]
        for block in self.blocks:
            for layer in block.layers:
                found += [layer.reduce, layer.grow]
            if block.transition is not None:
                found.append(block.transition.convolution)
        found.append(self.head)
        return {convolution.name: convolution for convolution in found}

    def input_tensors(self) -> dict[str, str]:
        """The name, in an ONNX graph, of the tensor that each convolution reads, by the convolution's name."""
        tensors = {self.stem.convolution.name: "image", self.head.name: f"{self.last.name}.relu"}
        for layer in self.layers():
            tensors[layer.reduce.name] = f"{layer.rectifier.name}.relu"
            tensors[layer.grow.name] = layer.hidden
        for transition in self.transitions():
            rectified = f"{transition.rectifier.name}.relu"
            tensors[transition.convolution.name] = transition.pool if transition.pool_first else rectified
        return tensors

    def concatenated_tensors(self) -> tuple[str, ...]:
        """Names, in the FP32 graph, of every tensor that enters a concatenation, in the order in which they do."""
        names = [self.stem.pool]
        for block in self.blocks:
            names += [layer.grow.name for layer in block.layers]
            if block.transition is not None:
                names.append(block.transition.pool)
        return tuple(names)

    def range_tensors(self) -> tuple[str, ...]:
        """Names, in the FP32 graph, of every tensor whose range the rewrites use."""
        read = (tensor for tensor in self.input_tensors().values() if tensor != "image")
        return tuple(dict.fromkeys((*read, *self.concatenated_tensors())))

    def with_layers(
        self,
        layer: Callable[[DenseLayer], DenseLayer] = lambda layer: layer,
        transition: Callable[[Transition], Transition] = lambda transition: transition,
    ) -> Network:
        """This network with a function applied to every dense layer and every transition."""
        blocks = tuple(
            replace(
                block,
                layers=tuple(layer(part) for part in block.layers),
                transition=None if block.transition is None else transition(block.transition),
            )
            for block in self.blocks
        )
        return replace(self, blocks=blocks)

    def with_convolutions(self, changed: Callable[[Convolution], Convolution]) -> Network:
        """This network with a function applied to every convolution."""
        network = self.with_layers(
            lambda layer: replace(layer, reduce=changed(layer.reduce), grow=changed(layer.grow)),
            lambda part: replace(part, convolution=changed(part.convolution)),
        )
        stem = replace(self.stem, convolution=changed(self.stem.convolution))
        return replace(network, stem=stem, head=changed(self.head))
