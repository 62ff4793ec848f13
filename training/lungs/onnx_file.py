"""The localiser as an ONNX file, written node by node with its normalisations folded into the convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import cxr_edge
from cxr_edge.lungs import INPUT, OUTPUT, LungModel
from cxr_edge.regions.cells import GRID
from training.lungs.network import LungNet

__all__ = ["build_onnx", "largest_difference"]

OPSET, IR_VERSION = 19, 9
"""Those of the classifier's files, which every supported runtime reads."""


def build_onnx(network: LungNet) -> onnx.ModelProto:
    """The checked model: input ``thumbnail``, output ``lungs``, both float32 ``[N, 1, 128, 128]``."""
    graph = LungGraph(network)
    at64 = graph.block(INPUT, "stem")
    at32 = graph.block(at64, "down32")
    at16 = graph.block(graph.block(at32, "down16"), "mix16")
    at8 = graph.block(graph.block(graph.block(at16, "down8"), "mix8a"), "mix8b")
    x = graph.block(graph.joined(at16, at8, "narrow16"), "up16")
    x = graph.block(graph.joined(at32, x, "narrow32"), "up32")
    x = graph.block(graph.joined(at64, x, "narrow64"), "up64")
    graph.doubled(graph.pointwise(x, "head"), OUTPUT, mode="linear", coordinate_transformation_mode="half_pixel")
    return graph.model()


def largest_difference(network: LungNet, model: bytes, thumbnails: NDArray[np.float32]) -> float:
    """The largest |difference| of a logit between torch and ONNX Runtime.

    Args:
        network: in evaluation mode.
        model: what `build_onnx` made of it, serialised.
        thumbnails: ``[N, 128, 128]``.
    """
    with torch.inference_mode():
        expected = network(torch.from_numpy(thumbnails)[:, None])[:, 0].numpy()
    with LungModel(model) as runtime:
        found = np.stack([runtime.logits(thumbnail) for thumbnail in thumbnails])
    return float(np.abs(found - expected).max())


class LungGraph:
    """Collects nodes and weights; methods take a layer by its name in the network and return their output's name."""

    def __init__(self, network: LungNet) -> None:
        self.network = network
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice")]

    def block(self, x: str, name: str) -> str:
        """Append a convolution that does its normalisation too, and the rectifier."""
        layers = self.network.get_submodule(name)
        assert isinstance(layers, nn.Sequential)
        conv, norm = layers[0], layers[1]
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        convolved = self.conv(x, name, conv, *folded(conv, norm))
        return self.node("Relu", [convolved], f"{name}.relu")

    def pointwise(self, x: str, name: str) -> str:
        """Append a 1x1 convolution with bias."""
        conv = self.network.get_submodule(name)
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        return self.conv(x, name, conv, array(conv.weight), array(conv.bias))

    def joined(self, fine: str, coarse: str, name: str) -> str:
        """Append the sum of a finer map and a coarser one, narrowed and enlarged to it."""
        enlarged = self.doubled(
            self.pointwise(coarse, name),
            f"{name}.doubled",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return self.node("Add", [fine, enlarged], f"{name}.sum")

    def doubled(self, x: str, name: str, **attributes: Any) -> str:
        """Append an enlargement to twice the side."""
        return self.node("Resize", [x, "", "twice"], name, **attributes)

    def conv(self, x: str, name: str, layer: nn.Conv2d, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """Append a convolution shaped like ``layer`` with these weights."""
        self.weights += [
            numpy_helper.from_array(weight, f"{name}.weight"),
            numpy_helper.from_array(bias, f"{name}.bias"),
        ]
        return self.node(
            "Conv",
            [x, f"{name}.weight", f"{name}.bias"],
            name,
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=[int(pad) for pad in layer.padding] * 2,
        )

    def node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Append a node whose output is called like it."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def model(self) -> onnx.ModelProto:
        """The finished, checked model."""
        shape: list[str | int | None] = ["N", 1, GRID, GRID]
        graph = helper.make_graph(
            self.nodes,
            "LungNet",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
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


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight and bias of the one convolution that equals a convolution and its normalisation in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = conv.weight.double() * gain[:, None, None, None]
    return array(weight), array(norm.bias.double() - norm.running_mean.double() * gain)


def array(tensor: Tensor) -> NDArray[np.float32]:
    """A C-contiguous float32 copy."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy().astype(np.float32))
