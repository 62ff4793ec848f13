from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_run import tiny_network

from cxr_edge.errors import CheckFailedError, UsageError
from export.half import to_fp16, to_int8_fp16
from export.onnx_graph import build_fp32
from export.tensorrt_rules import check_tensorrt_rules, tensorrt_faults

HALF = np.float16


class Quantised:
    """Cast, Conv with Q/DQ on both inputs, Cast, head: the form of the INT8-FP16 model in nine nodes, to be spoilt."""

    def __init__(self) -> None:
        make, rng = helper.make_node, np.random.default_rng(5)
        self.opset = 19
        self.constants: dict[str, Any] = {
            "stem": rng.integers(-127, 128, (8, 1, 3, 3)).astype(np.int8),
            "stem.scale": np.full(8, 0.01, HALF),
            "stem.zero": np.zeros(8, np.int8),
            "image.scale": np.array(0.0078125, HALF),
            "image.zero": np.array(0, np.int8),
            "bias": np.zeros(8, HALF),
            "head": rng.normal(0, 0.5, (1, 8, 1, 1)).astype(np.float32),
            "axes": np.array([2, 3], np.int64),
        }
        self.nodes = {
            "half": make("Cast", ["image"], ["half"], to=TensorProto.FLOAT16),
            "q": make("QuantizeLinear", ["half", "image.scale", "image.zero"], ["q"]),
            "dq": make("DequantizeLinear", ["q", "image.scale", "image.zero"], ["dq"]),
            "weight": make("DequantizeLinear", ["stem", "stem.scale", "stem.zero"], ["weight"], axis=0),
            "conv": make("Conv", ["dq", "weight", "bias"], ["conv"], pads=[1, 1, 1, 1]),
            "relu": make("Relu", ["conv"], ["relu"]),
            "single": make("Cast", ["relu"], ["single"], to=TensorProto.FLOAT),
            "cam": make("Conv", ["single", "head"], ["cam"]),
            "logit": make("ReduceMean", ["cam", "axes"], ["logit"], keepdims=0),
        }
        self.image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])

    def replace(self, name: str, operator: str, inputs: list[str], **attributes: Any) -> None:
        self.nodes[name] = helper.make_node(operator, inputs, [name], **attributes)

    def insert(self, before: str, name: str, operator: str, inputs: list[str], **attributes: Any) -> None:
        order = list(self.nodes)
        position = order.index(before)
        self.replace(name, operator, inputs, **attributes)
        self.nodes = {key: self.nodes[key] for key in (*order[:position], name, *order[position:])}

    def to_bytes(self) -> bytes:
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            list(self.nodes.values()),
            "quantised",
            [self.image],
            [value("logit", TensorProto.FLOAT, ["N", 1]), value("cam", TensorProto.FLOAT, ["N", 1, 8, 8])],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        opset = helper.make_opsetid("", self.opset)
        return helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


def test_a_well_formed_quantised_graph_breaks_no_rule() -> None:
    assert tensorrt_faults(Quantised().to_bytes(), "int8-fp16") == ()
    check_tensorrt_rules(Quantised().to_bytes(), "int8-fp16")


def asymmetric(graph: Quantised) -> None:
    graph.constants["image.zero"] = np.array(3, np.int8)


def unsigned(graph: Quantised) -> None:
    graph.constants["image.zero"] = np.array(0, np.uint8)


def negative_scale(graph: Quantised) -> None:
    graph.constants["stem.scale"][3] = -0.5


def infinite_scale(graph: Quantised) -> None:
    graph.constants["image.scale"] = np.array(np.inf, HALF)


def single_scale(graph: Quantised) -> None:
    graph.constants["image.scale"] = np.array(0.0078125, np.float32)
    graph.insert("q", "again", "Cast", ["half"], to=TensorProto.FLOAT)
    graph.replace("q", "QuantizeLinear", ["again", "image.scale", "image.zero"])
    graph.insert("conv", "back", "Cast", ["dq"], to=TensorProto.FLOAT16)
    graph.replace("conv", "Conv", ["back", "weight", "bias"], pads=[1, 1, 1, 1])


def two_scales(graph: Quantised) -> None:
    graph.constants["other"] = np.array(0.01, HALF)
    graph.replace("dq", "DequantizeLinear", ["q", "other", "image.zero"])


def per_channel_activation(graph: Quantised) -> None:
    graph.constants["image.scale"] = np.array([0.01, 0.02], HALF)
    graph.constants["image.zero"] = np.zeros(2, np.int8)
    graph.constants["stem"] = np.zeros((8, 2, 3, 3), np.int8)
    graph.image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 2, 8, 8])


def wrong_axis(graph: Quantised) -> None:
    graph.constants["stem.scale"], graph.constants["stem.zero"] = np.full(1, 0.01, HALF), np.zeros(1, np.int8)
    graph.constants["stem"] = np.zeros((8, 2, 3, 3), np.int8)
    graph.constants["stem.scale"], graph.constants["stem.zero"] = np.full(2, 0.01, HALF), np.zeros(2, np.int8)
    graph.replace("weight", "DequantizeLinear", ["stem", "stem.scale", "stem.zero"], axis=1)
    graph.image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 2, 8, 8])


def no_zero_point(graph: Quantised) -> None:
    graph.replace("weight", "DequantizeLinear", ["stem", "stem.scale"], axis=0)


def computed_scale(graph: Quantised) -> None:
    graph.insert("q", "scale", "Identity", ["image.scale"])
    graph.replace("q", "QuantizeLinear", ["half", "scale", "image.zero"])


def quantised_relu(graph: Quantised) -> None:
    graph.insert("relu", "between", "Relu", ["dq"])


def unpaired(graph: Quantised) -> None:
    graph.insert("dq", "copy", "Identity", ["q"])
    graph.replace("dq", "DequantizeLinear", ["copy", "image.scale", "image.zero"])


def quantised_bias(graph: Quantised) -> None:
    graph.constants["bias.int"] = np.zeros(8, np.int8)
    graph.insert("conv", "bias.real", "DequantizeLinear", ["bias.int", "stem.scale", "stem.zero"], axis=0)
    graph.replace("conv", "Conv", ["dq", "weight", "bias.real"], pads=[1, 1, 1, 1])


def newer_opset(graph: Quantised) -> None:
    graph.opset = 21


def older_opset(graph: Quantised) -> None:
    graph.opset = 17


def unknown_operator(graph: Quantised) -> None:
    graph.replace("relu", "Mish", ["conv"])


def integer_indices(graph: Quantised) -> None:
    graph.nodes["relu"] = helper.make_node("MaxPool", ["conv"], ["relu", "indices"], kernel_shape=[1, 1])


def dilated_pooling(graph: Quantised) -> None:
    graph.replace("relu", "MaxPool", ["conv"], kernel_shape=[1, 1], dilations=[2, 2])


def computed_axes(graph: Quantised) -> None:
    graph.insert("logit", "some.axes", "Identity", ["axes"])
    graph.replace("logit", "ReduceMean", ["cam", "some.axes"], keepdims=0)


def mixed_normalisation(graph: Quantised) -> None:
    for name in ("a", "b", "c", "d"):
        graph.constants[name] = np.ones(8, np.float32)
    graph.replace("relu", "BatchNormalization", ["conv", "a", "b", "c", "d"])


def free_height(graph: Quantised) -> None:
    graph.image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, "H", 8])


def half_input(graph: Quantised) -> None:
    graph.image = helper.make_tensor_value_info("image", TensorProto.FLOAT16, ["N", 1, 8, 8])


FAULTS: dict[Callable[[Quantised], None], str] = {
    asymmetric: "zero point other than 0",
    unsigned: "uint8 zero point",
    negative_scale: "not a positive number",
    infinite_scale: "not a positive number",
    single_scale: "computes in float, not in float16|Q/DQ belong on the inputs of convolutions",
    two_scales: "another scale than the QuantizeLinear before it",
    per_channel_activation: "takes one scale",
    wrong_axis: "2 scales along axis 1 of weights",
    no_zero_point: "has no zero point",
    computed_scale: "both must be initializers",
    quantised_relu: "Q/DQ belong on the inputs of convolutions",
    unpaired: "neither a constant nor what QuantizeLinear gave|not followed by DequantizeLinear",
    quantised_bias: "gives a convolution's bias",
    newer_opset: "opset 21 is outside 9 to 20",
    older_opset: "onnx itself refuses it",
    unknown_operator: "not among the operators",
    integer_indices: "gives indices",
    dilated_pooling: "dilated pooling",
    computed_axes: "takes input 1 from another node",
    mixed_normalisation: "mixes float16 and float32 inputs",
    free_height: "a free size besides its batch",
    half_input: "image is float16",
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_each_broken_rule_is_named(spoil: Callable[[Quantised], None]) -> None:
    graph = Quantised()
    spoil(graph)
    with pytest.raises(CheckFailedError, match=FAULTS[spoil]):
        check_tensorrt_rules(graph.to_bytes(), "int8-fp16")


@pytest.mark.parametrize("model", [b"", b"\x08\x08", b"no model"])
def test_what_is_no_model_breaks_the_first_rule(model: bytes) -> None:
    with pytest.raises(CheckFailedError, match="onnx itself refuses it"):
        check_tensorrt_rules(model, "fp32")


def test_the_exported_graph_keeps_the_rules_in_fp32_and_fp16() -> None:
    fp32 = build_fp32(tiny_network(), 32, 32).SerializeToString()
    check_tensorrt_rules(fp32, "fp32")
    check_tensorrt_rules(to_fp16(fp32), "fp16")


def test_a_graph_with_float32_between_its_convolutions_is_not_fp16() -> None:
    fp32 = build_fp32(tiny_network(), 32, 32).SerializeToString()
    with pytest.raises(CheckFailedError, match="computes in float, not in float16"):
        check_tensorrt_rules(fp32, "fp16")


def test_an_unquantised_graph_is_not_int8() -> None:
    fp32 = build_fp32(tiny_network(), 32, 32).SerializeToString()
    with pytest.raises(CheckFailedError, match="has no QuantizeLinear"):
        check_tensorrt_rules(to_fp16(fp32), "int8-fp16")


def test_the_retyped_int8_graph_keeps_the_rules() -> None:
    check_tensorrt_rules(to_int8_fp16(in_single_precision(Quantised())), "int8-fp16")


def test_an_unknown_precision_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="fp32, fp16, int8-fp16"):
        tensorrt_faults(b"", "int4")


def in_single_precision(graph: Quantised) -> bytes:
    """The same graph as the INT8 model has it: float32 outside of Q/DQ, with scales that are FP16 numbers."""
    del graph.nodes["half"], graph.nodes["single"]
    graph.replace("q", "QuantizeLinear", ["image", "image.scale", "image.zero"])
    graph.replace("cam", "Conv", ["relu", "head"])
    for name, array in graph.constants.items():
        if array.dtype == HALF:
            graph.constants[name] = array.astype(np.float32)
    model = onnx.load_from_string(graph.to_bytes())
    for node in model.graph.node:
        node.name = node.output[0]
    return model.SerializeToString()
