from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from cxr_edge.errors import UnsupportedInputError
from export.int8 import read_network
from export.int8.exactness import logits_of
from export.int8.graph import float_model


def test_layers_are_those_of_the_checkpoint(fp32: bytes) -> None:
    network = read_network(fp32)
    assert network.image == (1, 64, 64)
    assert [len(block.layers) for block in network.blocks] == [2, 1, 1, 2]
    assert [block.transition is not None for block in network.blocks] == [True, True, True, False]
    layer = network.blocks[0].layers[1]
    assert layer.reduce.name == "features.denseblock1.denselayer2.layers.conv1"
    assert layer.reduce.weight.shape == (128, 96, 1, 1)
    assert layer.grow.weight.shape == (32, 128, 3, 3)
    assert network.head.weight.shape[0] == 2
    assert list(network.convolutions())[0] == "features.conv0"
    assert list(network.convolutions())[-1] == "head"


def test_what_was_read_computes_what_the_file_computes(fp32: bytes, batches: tuple[np.ndarray, ...]) -> None:
    expected = logits_of(fp32, batches)
    found = logits_of(float_model(read_network(fp32)).SerializeToString(), batches)
    assert expected[0].std() > 0.05
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5)


def spoilt(fp32: bytes, change: Callable[[onnx.GraphProto], object]) -> bytes:
    model = onnx.ModelProto.FromString(fp32)
    change(model.graph)
    return bytes(model.SerializeToString())


def without_weight(graph: onnx.GraphProto) -> None:
    kept = [tensor for tensor in graph.initializer if tensor.name != "features.norm5.bias"]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def with_nan(graph: onnx.GraphProto) -> None:
    tensor = next(tensor for tensor in graph.initializer if tensor.name == "head.weight")
    value = numpy_helper.to_array(tensor).copy()
    value.flat[0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


def with_another_output(graph: onnx.GraphProto) -> None:
    graph.output[0].name = "probability"


def with_a_sigmoid(graph: onnx.GraphProto) -> None:
    graph.node[-1].output[0] = "plain"
    graph.node.append(helper.make_node("Sigmoid", ["plain"], ["logit"]))


def with_another_activation(graph: onnx.GraphProto) -> None:
    next(node for node in graph.node if node.op_type == "Relu").op_type = "Elu"


def with_another_pooling(graph: onnx.GraphProto) -> None:
    pool = next(node for node in graph.node if node.op_type == "MaxPool")
    next(part for part in pool.attribute if part.name == "strides").ints[:] = [1, 1]


def with_dilation(graph: onnx.GraphProto) -> None:
    graph.node[0].attribute.append(helper.make_attribute("dilations", [2, 2]))


def cut_short(graph: onnx.GraphProto) -> None:
    del graph.node[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_weight, "no weight 'features.norm5.bias'"),
        (with_nan, "head.weight holds values that are not finite"),
        (with_another_output, "gives ['probability', 'cam']"),
        (with_a_sigmoid, "the end of the graph"),
        (with_another_activation, "Elu"),
        (with_another_pooling, "MaxPool features.pool0 has attributes"),
        (with_dilation, "features.conv0 has attributes"),
        (cut_short, "ends where a ReduceMean"),
    ],
)
def test_a_graph_of_another_shape_is_refused(
    fp32: bytes, change: Callable[[onnx.GraphProto], object], message: str
) -> None:
    with pytest.raises(UnsupportedInputError, match=re.escape(message)):
        read_network(spoilt(fp32, change))


@pytest.mark.parametrize("data", [b"", b"no model at all", b"\x00" * 100])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedInputError):
        read_network(data)


def test_a_foreign_network_is_refused(tiny_model_bytes: bytes) -> None:
    with pytest.raises(UnsupportedInputError, match="has no weight"):
        read_network(tiny_model_bytes)
