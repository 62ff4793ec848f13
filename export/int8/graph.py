"""ONNX of a rewritten network: in FP32, or with explicit QuantizeLinear / DequantizeLinear around what is quantised.

Weights are stored as int8 with a scale per output channel (axis 0), activations go through one scale that is a power of
two, all zero points are 0. Nodes and weights keep the checkpoint's names. A quantiser saturates at the bottom of its
grid, which is where the rewrites put every rectifier's floor: a rectifier in front of one costs no operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import cxr_edge
from export.int8.activation_grid import SIGNED, ActivationGrid
from export.int8.network import Array, Convolution, DenseLayer, Network, Rectifier, Transition
from export.int8.quantised_network import QuantisedNetwork

__all__ = ["IR_VERSION", "OPSET", "float_model", "int8_model"]

OPSET = 19
"""First opset with FP16 scales in QuantizeLinear; TensorRT 10.3, ONNX Runtime 1.18 and OpenVINO all read it."""

IR_VERSION = 9

FLOOR_SLACK = 1e-6
"""How far above the bottom of the grid a floor may lie and still count as saturated: rounding in the rewrites."""


def float_model(network: Network) -> onnx.ModelProto:
    """The network in FP32, to prove a rewrite exact and to see what its tensors hold; same input and outputs."""
    return _Writer(QuantisedNetwork(network, {}, "conv-inputs", SIGNED, SIGNED)).model()


def int8_model(quantised: QuantisedNetwork) -> onnx.ModelProto:
    """The network with explicit quantisation: input ``image``, outputs ``logit`` and ``cam``, batch size free."""
    return _Writer(quantised).model()


class _Writer:
    """Collects nodes and weights of one graph."""

    def __init__(self, quantised: QuantisedNetwork) -> None:
        self.quantised = quantised
        self.network = quantised.network
        self.stored = quantised.layout == "all-int8"
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def model(self) -> onnx.ModelProto:
        """The finished, checked model."""
        x = self.stem()
        for block in self.network.blocks:
            for layer in block.layers:
                x = self.dense_layer(layer, x)
            if block.transition is not None:
                x = self.transition(block.transition, x)
        cam = self.convolution(self.network.head, self.rectifier(self.network.last, x, self.network.head), "cam")
        axes = self.weight("spatial_axes", np.array([2, 3], np.int64))
        self.node("ReduceMean", [cam, axes], "logit", keepdims=0)
        return self.checked()

    def stem(self) -> str:
        """Append the stem; returns the first tensor of the concatenation."""
        stem = self.network.stem
        x = self.convolution(stem.convolution, self.grid_input("image", stem.convolution, self.quantised.grid))
        if not (self.stored and _saturated(stem.floor, self.quantised.grid)):
            x = self.bound(x, stem.floor, "Max", "features.norm0.relu")
        x = self.node("MaxPool", [x], stem.pool, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        return self.kept(x)

    def dense_layer(self, layer: DenseLayer, x: str) -> str:
        """Append a bottleneck layer; returns the longer concatenation."""
        y = self.convolution(layer.reduce, self.rectifier(layer.rectifier, x, layer.reduce))
        y = self.node("Relu", [y], layer.hidden)
        y = self.convolution(layer.grow, self.grid_input(y, layer.grow, self.quantised.hidden_grid))
        return self.node("Concat", [x, self.kept(y)], f"{layer.name}.concat", axis=1)

    def transition(self, transition: Transition, x: str) -> str:
        """Append a transition; returns the first tensor of the next concatenation."""
        convolution = transition.convolution
        if transition.pool_first:
            y = self.average(self.rectified(transition.rectifier, x), transition.pool)
            return self.kept(self.convolution(convolution, self.grid_input(y, convolution, self.quantised.grid)))
        y = self.convolution(convolution, self.rectifier(transition.rectifier, x, convolution))
        return self.kept(self.average(y, transition.pool))

    def average(self, x: str, name: str) -> str:
        """Append the transitions' pooling."""
        return self.node("AveragePool", [x], name, kernel_shape=[2, 2], strides=[2, 2])

    def rectifier(self, rectifier: Rectifier, x: str, reader: Convolution) -> str:
        """Append a rectifier, and the quantisation of its output where the convolution that reads it is quantised."""
        quantised = reader.name in self.quantised.convolutions
        saturated = quantised and _saturated(rectifier.floor, self.quantised.grid)
        return self.grid_input(self.rectified(rectifier, x, saturated=saturated), reader, self.quantised.grid)

    def rectified(self, rectifier: Rectifier, x: str, *, saturated: bool = False) -> str:
        """Append the operators of a rectifier, without its floor where a quantiser saturates there anyway."""
        if self.stored:
            x = self.dequantise(x, self.quantised.grid, x)
        steps: list[Callable[[str, str], str]] = []
        if (rectifier.slope != 1).any() or (rectifier.offset != 0).any():
            steps.append(lambda x, name: self.affine(x, rectifier, name))
        if np.isfinite(rectifier.floor).any() and not saturated:
            steps.append(lambda x, name: self.bound(x, rectifier.floor, "Max", name))
        if np.isfinite(rectifier.ceiling).any():
            steps.append(lambda x, name: self.bound(x, rectifier.ceiling, "Min", name))
        for number, step in enumerate(steps, start=1):
            # The last one gives the tensor the name that it has in the FP32 graph.
            x = step(x, f"{rectifier.name}.relu" if number == len(steps) else f"{rectifier.name}.step{number}")
        return x

    def affine(self, x: str, rectifier: Rectifier, output: str) -> str:
        """Append ``slope * x + offset`` as one BatchNormalization: one pass where Mul and Add make two."""
        count = len(rectifier.slope)
        parts = {
            "weight": rectifier.slope,
            "bias": rectifier.offset,
            "running_mean": np.zeros(count),
            "running_var": np.ones(count),
        }
        inputs = [self.weight(f"{rectifier.name}.{part}", value.astype(np.float32)) for part, value in parts.items()]
        return self.node("BatchNormalization", [x, *inputs], rectifier.name, output, epsilon=0.0)

    def bound(self, x: str, limit: Array, operator: str, output: str) -> str:
        """Append a per-channel maximum or minimum; a Relu or a Clip where the floor is the same everywhere."""
        if operator == "Max" and not limit.any():
            return self.node("Relu", [x], output)
        if operator == "Max" and (limit == limit[0]).all():
            return self.node("Clip", [x, self.weight(f"{output}.min", np.array(limit[0], np.float32))], output)
        value = self.weight(f"{output}.{operator.lower()}", limit.astype(np.float32)[:, None, None])
        return self.node(operator, [x, value], output)

    def convolution(self, convolution: Convolution, x: str, output: str = "") -> str:
        """Append a convolution, of integers where it is quantised."""
        found = self.quantised.convolutions.get(convolution.name)
        weight = f"{convolution.name}.weight"
        if found is None:
            bias = convolution.bias.astype(np.float32)
            self.weight(weight, convolution.weight.astype(np.float32))
        else:
            bias = found.bias
            weight = self.dequantised_weight(weight, found.weight, found.scale)
        inputs = [x, weight, self.weight(f"{convolution.name}.bias", bias)]
        return self.node(
            "Conv",
            inputs,
            convolution.name,
            output,
            kernel_shape=list(convolution.weight.shape[2:]),
            strides=[convolution.stride] * 2,
            pads=[convolution.padding] * 4,
        )

    def dequantised_weight(self, name: str, weight: NDArray[np.int8], scale: NDArray[np.float32]) -> str:
        """Append integer weights and the node that makes them real."""
        inputs = [
            self.weight(name, weight),
            self.weight(f"{name}.scale", scale),
            self.weight(f"{name}.zero_point", np.zeros(len(scale), np.int8)),
        ]
        return self.node("DequantizeLinear", inputs, f"{name}.dequantised", axis=0)

    def grid_input(self, x: str, reader: Convolution, grid: ActivationGrid) -> str:
        """The tensor as the convolution reads it: through the grid where the convolution is quantised."""
        if reader.name not in self.quantised.convolutions:
            return x
        return self.dequantise(self.quantise(x, grid), grid, x)

    def kept(self, x: str) -> str:
        """The tensor as it enters the concatenation: stored in INT8 in the layout that does so."""
        return self.quantise(x, self.quantised.grid) if self.stored else x

    def quantise(self, x: str, grid: ActivationGrid) -> str:
        """Append a QuantizeLinear."""
        return self.node("QuantizeLinear", [x, *self.grid(grid)], f"{x}.quantised")

    def dequantise(self, x: str, grid: ActivationGrid, name: str) -> str:
        """Append a DequantizeLinear."""
        return self.node("DequantizeLinear", [x, *self.grid(grid)], f"{name}.dequantised")

    def grid(self, grid: ActivationGrid) -> list[str]:
        """Names of a grid's scale and zero point, which all its users share."""
        return [
            self.weight(f"{grid.name}.scale", np.array(grid.scale, np.float32)),
            self.weight(f"{grid.name}.zero_point", np.array(grid.zero_point, grid.dtype)),
        ]

    def node(self, operator: str, inputs: list[str], name: str, output: str = "", **attributes: Any) -> str:
        """Append a node whose output is called ``output``, or like the node."""
        self.nodes.append(helper.make_node(operator, inputs, [output or name], name=name, **attributes))
        return output or name

    def weight(self, name: str, value: NDArray[Any]) -> str:
        """Add an initializer, once."""
        if name not in self.weights:
            self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        return name

    def checked(self) -> onnx.ModelProto:
        """The model with the contract's input and outputs."""
        value = helper.make_tensor_value_info
        channels, height, width = self.network.image
        outputs = len(self.network.head.weight)
        graph = helper.make_graph(
            self.nodes,
            "CheXNet",
            [value("image", TensorProto.FLOAT, ["N", channels, height, width])],
            [
                value("logit", TensorProto.FLOAT, ["N", outputs]),
                value("cam", TensorProto.FLOAT, ["N", outputs, height // 32, width // 32]),
            ],
            list(self.weights.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="cxr-edge",
            producer_version=cxr_edge.__version__,
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def _saturated(floor: Array, grid: ActivationGrid) -> bool:
    """Whether a quantiser on this grid makes the floor unnecessary."""
    return bool((floor <= grid.lowest + FLOOR_SLACK).all())
