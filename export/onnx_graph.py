"""CheXNet as an ONNX graph, written node by node from the network's weights.

The graph is emitted here instead of traced by an exporter because later stages (INT8 rewrites, TensorRT, our own
engine) address its layers by name: the names are the checkpoint's, and they don't change with the version of torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import cxr_edge
from cxr_edge.errors import UsageError
from training.model import CheXNet

__all__ = ["OPSET", "build_fp32"]

OPSET = 19
"""First opset with FP16 scales in QuantizeLinear; TensorRT 10.3, ONNX Runtime 1.18 and OpenVINO all read it."""

IR_VERSION = 9


def build_fp32(network: CheXNet, height: int, width: int) -> onnx.ModelProto:
    """The network in evaluation mode: input ``image``, outputs ``logit`` and ``cam``, float32, batch size free.

    Args:
        network: weights and layout.
        height: of the input, pixels; a multiple of 32.
        width: of the input, pixels; a multiple of 32.

    Raises:
        UsageError: a height or width that the network's strides do not divide.
    """
    if height < 32 or width < 32 or height % 32 or width % 32:
        raise UsageError(f"a network input of {height}x{width} is not possible: both sides must be multiples of 32")
    graph = GraphWriter(network)
    x = graph.conv("image", "features.conv0")
    x = graph.pool(graph.norm_relu(x, "features.norm0"), "features.pool0")
    for name, _ in network.features.named_children():
        if name.startswith("denseblock"):
            for layer, _ in network.get_submodule(f"features.{name}").named_children():
                x = dense_layer(graph, x, f"features.{name}.{layer}")
        elif name.startswith("transition"):
            x = transition(graph, x, f"features.{name}")
    x = graph.norm_relu(x, "features.norm5")
    cam = graph.conv(x, "head", output="cam")
    graph.mean(cam, "logit")
    cells = (height // 32, width // 32)
    return graph.model((network.channels, height, width), network.outputs, cells)


def dense_layer(graph: GraphWriter, x: str, name: str) -> str:
    """Append a bottleneck layer: BN, ReLU, 1x1, BN, ReLU, 3x3, and the concatenation with its input."""
    y = graph.conv(graph.norm_relu(x, f"{name}.layers.norm1"), f"{name}.layers.conv1")
    y = graph.conv(graph.norm_relu(y, f"{name}.layers.norm2"), f"{name}.layers.conv2")
    return graph.node("Concat", [x, y], f"{name}.concat", axis=1)


def transition(graph: GraphWriter, x: str, name: str) -> str:
    """Append a transition: BN, ReLU, 1x1 that halves the channels, 2x2 average pooling."""
    return graph.pool(graph.conv(graph.norm_relu(x, f"{name}.norm"), f"{name}.conv"), f"{name}.pool")


class GraphWriter:
    """Collects nodes and weights; methods take a layer by its name in the network and return their output's name.

    Args:
        network: where layers are looked up; nodes and weights get the names that they have there.
    """

    def __init__(self, network: CheXNet) -> None:
        self.network = network
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: list[str], name: str, output: str = "", **attributes: Any) -> str:
        """Append a node whose output is called ``output``, or like the node."""
        self.nodes.append(helper.make_node(operator, inputs, [output or name], name=name, **attributes))
        return output or name

    def weight(self, name: str, value: Tensor | NDArray[Any]) -> str:
        """Append an initializer."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def conv(self, x: str, name: str, output: str = "") -> str:
        """Append a two-dimensional convolution."""
        module = self.network.get_submodule(name)
        assert isinstance(module, nn.Conv2d)
        inputs = [x, self.weight(f"{name}.weight", module.weight)]
        if module.bias is not None:
            inputs.append(self.weight(f"{name}.bias", module.bias))
        padding = [int(p) for p in module.padding]
        return self.node(
            "Conv",
            inputs,
            name,
            output,
            kernel_shape=list(module.kernel_size),
            strides=list(module.stride),
            pads=padding * 2,
        )

    def norm_relu(self, x: str, name: str) -> str:
        """Append a batch normalisation with fixed statistics and the rectifier that always follows it here."""
        module = self.network.get_submodule(name)
        assert isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None
        parts = {
            "weight": module.weight,
            "bias": module.bias,
            "running_mean": module.running_mean,
            "running_var": module.running_var,
        }
        inputs = [self.weight(f"{name}.{part}", value) for part, value in parts.items()]
        normalised = self.node("BatchNormalization", [x, *inputs], name, epsilon=module.eps)
        return self.node("Relu", [normalised], f"{name}.relu")

    def pool(self, x: str, name: str) -> str:
        """Append a maximum or average pooling."""
        module = self.network.get_submodule(name)
        assert isinstance(module, nn.MaxPool2d | nn.AvgPool2d)
        kernel, stride, padding = (pair(value) for value in (module.kernel_size, module.stride, module.padding))
        operator = "MaxPool" if isinstance(module, nn.MaxPool2d) else "AveragePool"
        return self.node(operator, [x], name, kernel_shape=kernel, strides=stride, pads=padding * 2)

    def mean(self, x: str, output: str) -> str:
        """Append the mean over both spatial axes."""
        axes = self.weight("spatial_axes", np.array([2, 3], np.int64))
        return self.node("ReduceMean", [x, axes], output, keepdims=0)

    def model(self, image: tuple[int, int, int], outputs: int, cells: tuple[int, int]) -> onnx.ModelProto:
        """The finished, checked model with the contract's input and outputs."""
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "CheXNet",
            [value("image", TensorProto.FLOAT, ["N", *image])],
            [
                value("logit", TensorProto.FLOAT, ["N", outputs]),
                value("cam", TensorProto.FLOAT, ["N", outputs, *cells]),
            ],
            self.weights,
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


def pair(value: int | tuple[int, ...]) -> list[int]:
    """A pooling parameter for both axes."""
    return [value, value] if isinstance(value, int) else list(value)
