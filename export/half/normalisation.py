"""Batch normalisation written out, so that FP16 computes it without overflow and no parser folds it in FP16 itself.

TensorRT's ONNX parser computes ``scale / sqrt(variance + epsilon)`` of a normalisation whose parameters are FP16 in
FP16, where a variance below 6e-8 is zero and one above 65,504 infinite. Here the arithmetic is done once, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.half.links import GraphLinks

__all__ = ["without_batch_normalisation"]

Floats = NDArray[np.float64]

FARTHEST = 8192.0
"""Largest centre: there FP16's numbers are 8 apart, and input minus centre is still far from overflow."""


@dataclass(frozen=True, slots=True)
class ChannelAffine:
    """``slope * (x - centre) + level`` for each channel, all ``[C]`` float64.

    Attributes:
        slope: ``gamma / sqrt(variance + epsilon)``; at most ``gamma / sqrt(epsilon)``, 316 gamma for torch's epsilon.
        centre: a number of FP16 next to where the map crosses zero, so that subtracting it is the only step that rounds
            something large; 0 where it crosses so far out that the channel is nearly constant.
        level: value at the centre, which makes up for the rounding of the centre.
    """

    slope: Floats
    centre: Floats
    level: Floats

    @classmethod
    def of(cls, gamma: Floats, beta: Floats, mean: Floats, variance: Floats, epsilon: float) -> ChannelAffine:
        """The map that a batch normalisation with these fixed statistics computes."""
        slope = gamma / np.sqrt(variance + epsilon)
        offset = beta - slope * mean
        near = np.abs(offset) <= FARTHEST * np.abs(slope)
        crossing = np.divide(-offset, slope, out=np.zeros_like(slope), where=near & (slope != 0))
        centre = crossing.astype(np.float16).astype(np.float64)
        return cls(slope, centre, slope * centre + offset)


def without_batch_normalisation(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function without BatchNormalization nodes; equal up to float32 rounding.

    One that alone reads a convolution's output is folded into that convolution. Any other becomes ``Sub``, ``Mul``,
    ``Add``, in this order: behind the subtraction every step is as large as the output, and so is its rounding, while
    ``slope * x`` and ``-slope * mean`` may both be large and cancel.

    Args:
        model: with initializers for every normalisation parameter; not changed.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph, links = result.graph, GraphLinks(result.graph)
    constants = Constants(links)
    nodes: list[Any] = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        affine = constants.affine(node)
        producer: Any = links.producer.get(node.input[0])
        if producer is not None and producer.op_type == "Conv" and links.only_reader(node.input[0]) is not None:
            constants.fold(producer, affine)
            producer.output[0] = node.output[0]
        else:
            nodes.extend(constants.written_out(node, affine))
    replace_nodes(graph, nodes, constants)
    return result


class Constants:
    """The graph's constant tensors while normalisations are taken out."""

    def __init__(self, links: GraphLinks) -> None:
        self.values = {name: numpy_helper.to_array(tensor) for name, tensor in links.initializers.items()}

    def affine(self, node: Any) -> ChannelAffine:
        """What a normalisation with fixed statistics computes."""
        gamma, beta, mean, variance = (self.values[name].astype(np.float64) for name in node.input[1:5])
        return ChannelAffine.of(gamma, beta, mean, variance, epsilon_of(node))

    def fold(self, conv: Any, affine: ChannelAffine) -> None:
        """Change a convolution's weights and bias so that it computes the normalised output."""
        weights = self.values[conv.input[1]].astype(np.float64)
        bias = self.values[conv.input[2]].astype(np.float64) if len(conv.input) > 2 else np.zeros(len(weights))
        folded = f"{conv.name}.folded_weight", f"{conv.name}.folded_bias"
        self.values[folded[0]] = (weights * affine.slope[:, None, None, None]).astype(np.float32)
        self.values[folded[1]] = (affine.slope * (bias - affine.centre) + affine.level).astype(np.float32)
        del conv.input[1:]
        conv.input.extend(folded)

    def written_out(self, node: Any, affine: ChannelAffine) -> list[Any]:
        """``Sub``, ``Mul``, ``Add`` in place of a normalisation."""
        steps = (("Sub", "centre", affine.centre), ("Mul", "slope", affine.slope), ("Add", "level", affine.level))
        nodes, x = [], node.input[0]
        for operator, part, value in steps:
            self.values[f"{node.name}.{part}"] = value.astype(np.float32)[:, None, None]
            y = node.output[0] if part == "level" else f"{node.name}.{operator.lower()}"
            nodes.append(helper.make_node(operator, [x, f"{node.name}.{part}"], [y], name=f"{node.name}.{operator}"))
            x = y
        return nodes


def replace_nodes(graph: onnx.GraphProto, nodes: list[Any], constants: Constants) -> None:
    """Put nodes, and those constants that they use, in place of the graph's own."""
    used = dict.fromkeys(name for node in nodes for name in node.input)
    kept = [node.SerializeToString() for node in nodes]  # they live in the list that is cleared next
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(onnx.NodeProto.FromString(node) for node in kept)
    graph.initializer.extend(
        numpy_helper.from_array(constants.values[name], name) for name in used if name in constants.values
    )


def epsilon_of(node: Any) -> float:
    """The normalisation's epsilon; 1e-5 where the node doesn't say, as ONNX defines."""
    return next((float(attribute.f) for attribute in node.attribute if attribute.name == "epsilon"), 1e-5)
