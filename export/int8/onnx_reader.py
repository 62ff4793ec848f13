"""Reading our own FP32 graph (`export.onnx_graph`) back into layers, node by node; anything else is refused.

The reader walks the graph in the order in which it was written and checks every operator, name and attribute that the
rewrites rely on: a graph of another shape must not be rewritten by rules that hold for this one only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from cxr_edge.errors import UnsupportedInputError
from export.int8.network import Array, Convolution, DenseBlock, DenseLayer, Network, Rectifier, Stem, Transition

__all__ = ["read_network"]

POOLS = {"MaxPool": ([3, 3], [2, 2], [1, 1, 1, 1]), "AveragePool": ([2, 2], [2, 2], [0, 0, 0, 0])}
"""Kernel, strides and padding of the two poolings of the network."""


def read_network(model: bytes) -> Network:
    """The layers of an FP32 graph that `export.onnx_graph.build_fp32` wrote, normalisations folded in float64.

    norm0 is folded into the stem and every norm2 into its conv1 (the first of the exact rewrites); the others become
    the slopes and offsets of rectifiers.

    Args:
        model: the ONNX file's bytes.

    Raises:
        UnsupportedInputError: not ONNX, another input or other outputs, a node that does not belong to this network, a
            weight that is missing, of another shape or not finite. The message names it.
    """
    try:
        proto = onnx.ModelProto.FromString(model)
    except Exception as error:  # protobuf's DecodeError is not importable from a stable place
        raise UnsupportedInputError(f"the FP32 model cannot be read as ONNX: {error}") from error
    _check_contract(proto.graph)
    return GraphReader(proto.graph).network()


class GraphReader:
    """Consumes the nodes of a graph in order.

    Args:
        graph: of the model.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.nodes = list(graph.node)
        self.position = 0
        self.weights = {tensor.name: tensor for tensor in graph.initializer}

    def network(self) -> Network:
        """The whole network.

        Raises:
            UnsupportedInputError: as `read_network` says.
        """
        stem, x = self._stem()
        blocks = []
        while self._next_name().startswith("features.denseblock"):
            block, x = self._block(x)
            blocks.append(block)
        if not blocks:
            raise UnsupportedInputError("the FP32 model has no dense block; INT8 is made from our own DenseNet graphs")
        last, x = self._rectifier(x)
        head, cam = self._convolution(x, output="cam")
        mean = self._node("ReduceMean", [cam, "spatial_axes"])
        if list(mean.output) != ["logit"] or self.position != len(self.nodes):
            raise self._unexpected("the end of the graph, where logit is the mean of cam")
        dims = self.graph.input[0].type.tensor_type.shape.dim
        image = (dims[1].dim_value, dims[2].dim_value, dims[3].dim_value)
        return Network(image, stem, tuple(blocks), last, head)

    def _stem(self) -> tuple[Stem, str]:
        convolution, x = self._convolution("image")
        slope, offset, x = self._norm_relu(x)[1:]
        pool, x = self._pool("MaxPool", x)
        return Stem(_folded(convolution, slope, offset), np.zeros_like(slope), pool), x

    def _block(self, x: str) -> tuple[DenseBlock, str]:
        name = ".".join(self._next_name().split(".")[:2])
        layers = []
        while self._next_name().startswith(f"{name}."):
            layer, x = self._layer(x)
            layers.append(layer)
        transition = None
        if self._next_name().startswith("features.transition"):
            transition, x = self._transition(x)
        return DenseBlock(name, tuple(layers), transition), x

    def _layer(self, x: str) -> tuple[DenseLayer, str]:
        name = ".".join(self._next_name().split(".")[:3])
        rectifier, y = self._rectifier(x)
        reduce, y = self._convolution(y)
        _, slope, offset, hidden = self._norm_relu(y)
        grow, y = self._convolution(hidden)
        concat = self._node("Concat", [x, y])
        self._expect(concat, {"axis": 1})
        return DenseLayer(name, rectifier, _folded(reduce, slope, offset), hidden, grow), concat.output[0]

    def _transition(self, x: str) -> tuple[Transition, str]:
        name = ".".join(self._next_name().split(".")[:2])
        rectifier, y = self._rectifier(x)
        convolution, y = self._convolution(y)
        pool, y = self._pool("AveragePool", y)
        return Transition(name, rectifier, convolution, pool), y

    def _convolution(self, x: str, output: str = "") -> tuple[Convolution, str]:
        node = self._node("Conv", [x])
        weight = self._weight(f"{node.name}.weight", 4)
        has_bias = len(node.input) > 2
        bias = self._weight(f"{node.name}.bias", 1) if has_bias else np.zeros(len(weight))
        attributes = _attributes(node)
        stride, padding = attributes.get("strides", [1, 1]), attributes.get("pads", [0, 0, 0, 0])
        plain = attributes.get("group", 1) == 1 and set(attributes.get("dilations", [1])) == {1}
        if not plain or len(set(stride)) != 1 or len(set(padding)) != 1 or "auto_pad" in attributes:
            raise UnsupportedInputError(f"convolution {node.name} has attributes {attributes} that are not supported")
        if output and list(node.output) != [output]:
            raise UnsupportedInputError(f"convolution {node.name} gives {list(node.output)}; expected {output!r}")
        return Convolution(node.name, weight, bias, int(stride[0]), int(padding[0])), node.output[0]

    def _rectifier(self, x: str) -> tuple[Rectifier, str]:
        name, slope, offset, y = self._norm_relu(x)
        return Rectifier.relu(name, slope, offset), y

    def _norm_relu(self, x: str) -> tuple[str, Array, Array, str]:
        """Name, slope and offset of a normalisation, and the name of the ReLU's output."""
        norm = self._node("BatchNormalization", [x])
        parts = ("weight", "bias", "running_mean", "running_var")
        scale, shift, mean, variance = (self._weight(f"{norm.name}.{part}", 1) for part in parts)
        spread = np.sqrt(variance + _attributes(norm).get("epsilon", 1e-5))
        if not (spread > 0).all():
            raise UnsupportedInputError(f"normalisation {norm.name} has a variance that is not positive")
        slope = scale / spread
        relu = self._node("Relu", [norm.output[0]])
        return norm.name, slope, shift - mean * slope, relu.output[0]

    def _pool(self, operator: str, x: str) -> tuple[str, str]:
        node = self._node(operator, [x])
        kernel, strides, pads = POOLS[operator]
        self._expect(node, {"kernel_shape": kernel, "strides": strides, "pads": pads})
        return node.name, node.output[0]

    def _node(self, operator: str, inputs: list[str]) -> onnx.NodeProto:
        """The next node, which must be of this operator and begin with these inputs."""
        if self.position == len(self.nodes):
            raise UnsupportedInputError(f"the FP32 model ends where a {operator} of {inputs[0]} was expected")
        node: onnx.NodeProto = self.nodes[self.position]
        if node.op_type != operator or list(node.input[: len(inputs)]) != inputs:
            raise self._unexpected(f"{operator} of {inputs[0]}")
        self.position += 1
        return node

    def _next_name(self) -> str:
        return str(self.nodes[self.position].name) if self.position < len(self.nodes) else ""

    def _unexpected(self, wanted: str) -> UnsupportedInputError:
        node = self.nodes[min(self.position, len(self.nodes) - 1)]
        return UnsupportedInputError(
            f"the FP32 model has {node.op_type} {node.name!r} where {wanted} was expected; INT8 is made from the "
            "graphs that `cxr-edge export` writes"
        )

    def _expect(self, node: onnx.NodeProto, wanted: dict[str, Any]) -> None:
        found = _attributes(node)
        if any(found.get(key) != value for key, value in wanted.items()):
            raise UnsupportedInputError(f"{node.op_type} {node.name} has attributes {found}; expected {wanted}")

    def _weight(self, name: str, dimensions: int) -> Array:
        if name not in self.weights:
            raise UnsupportedInputError(f"the FP32 model has no weight {name!r}")
        value = numpy_helper.to_array(self.weights[name])
        if value.dtype != np.float32 or value.ndim != dimensions:
            raise UnsupportedInputError(
                f"weight {name} is {value.dtype} with {value.ndim} dimensions; expected float32 with {dimensions}"
            )
        if not np.isfinite(value).all():
            raise UnsupportedInputError(f"weight {name} holds values that are not finite; the model is damaged")
        return value.astype(np.float64)


def _folded(convolution: Convolution, slope: Array, offset: Array) -> Convolution:
    """The convolution followed by ``slope * y + offset``; a slope may be zero, so it is no `with_outputs`."""
    return Convolution(
        convolution.name,
        convolution.weight * slope[:, None, None, None],
        convolution.bias * slope + offset,
        convolution.stride,
        convolution.padding,
    )


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _check_contract(graph: onnx.GraphProto) -> None:
    inputs, outputs = [value.name for value in graph.input], [value.name for value in graph.output]
    if inputs != ["image"] or outputs != ["logit", "cam"]:
        raise UnsupportedInputError(
            f"the FP32 model takes {inputs} and gives {outputs}; the contract is image -> logit, cam"
        )
    tensor = graph.input[0].type.tensor_type
    dims = tensor.shape.dim
    if tensor.elem_type != TensorProto.FLOAT or len(dims) != 4 or not all(dim.dim_value > 0 for dim in dims[1:]):
        raise UnsupportedInputError("the FP32 model's input is not float32 [N, C, H, W] with fixed C, H and W")
