from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cxr_edge.errors import CheckFailedError
from export.half import check_fp16_range, to_fp16
from export.half.range_check import HALF_MAX
from export.half.tail import single_precision_tail


def types(model: bytes) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), strict_mode=True).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    return {value.name: value.type.tensor_type.elem_type for value in values}


def with_weights_times(model: bytes, name: str, factor: float) -> bytes:
    changed = onnx.load_from_string(model)
    for tensor in changed.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))
    data: bytes = changed.SerializeToString()
    return data


def test_input_and_outputs_are_those_of_the_contract(fp32: bytes) -> None:
    before, after = (onnx.load_from_string(model).graph for model in (fp32, to_fp16(fp32)))
    assert list(after.input) == list(before.input)
    assert list(after.output) == list(before.output)


def test_everything_before_the_last_feature_map_is_fp16_and_everything_after_is_float32(fp32: bytes) -> None:
    model = to_fp16(fp32)
    graph, kind = onnx.load_from_string(model).graph, types(model)
    tail = single_precision_tail(graph)
    assert {"head", "logit", "features.norm5.Mul", "features.norm5.relu"} <= tail
    for node in graph.node:
        if node.op_type != "Cast":
            expected = TensorProto.FLOAT if node.name in tail else TensorProto.FLOAT16
            assert {kind[name] for name in node.output} == {expected}, node.name
    casts = [node.name for node in graph.node if node.op_type == "Cast"]
    assert len(casts) == 2  # the image, and the last feature map
    assert casts[0] == "image.half"


def test_the_file_is_half_as_large_and_its_logits_are_near(fp32: bytes, images: np.ndarray, outputs: Callable) -> None:
    model = to_fp16(fp32)
    halves = sum(t.data_type == TensorProto.FLOAT16 for t in onnx.load_from_string(model).graph.initializer)
    assert halves > 20
    for found, expected in zip(outputs(model, images), outputs(fp32, images), strict=True):
        assert 0 < np.abs(found - expected).max() < 2e-2 * np.abs(expected).max()


def test_the_same_model_gives_the_same_bytes(fp32: bytes) -> None:
    assert to_fp16(fp32) == to_fp16(fp32)


def test_a_weight_beyond_fp16_is_refused_by_name(fp32: bytes) -> None:
    with pytest.raises(CheckFailedError, match="conv0.*FP16 ends at 65504"):
        to_fp16(with_weights_times(fp32, "features.conv0.weight", 1e7))


def test_activations_near_the_end_of_fp16_are_refused_by_name(fp32: bytes, images: np.ndarray) -> None:
    room = check_fp16_range(fp32, [images[:2], images[2:]])
    assert (room.images, room.factor > 1000) == (6, True)
    broken = with_weights_times(fp32, "features.denseblock1.denselayer1.layers.conv2.weight", 2e4)
    with pytest.raises(CheckFailedError, match="denseblock1"):
        check_fp16_range(broken, [images])
    with pytest.raises(CheckFailedError, match="on no image"):
        check_fp16_range(fp32, [])


def test_the_room_is_that_of_the_largest_activation(fp32: bytes, images: np.ndarray) -> None:
    some, more = (check_fp16_range(fp32, [images[:count]]) for count in (1, 6))
    assert more.largest >= some.largest > 0
    assert more.factor == HALF_MAX / more.largest


def test_an_operator_of_unknown_type_rules_and_an_old_opset_are_refused(fp32: bytes) -> None:
    model = onnx.load_from_string(fp32)
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Softplus"
    with pytest.raises(CheckFailedError, match="Softplus"):
        to_fp16(model.SerializeToString())
    old = onnx.load_from_string(fp32)
    del old.opset_import[:]
    old.opset_import.append(helper.make_opsetid("", 18))
    with pytest.raises(CheckFailedError, match="opset 18"):
        to_fp16(old.SerializeToString())


def test_a_graph_that_ends_otherwise_is_refused(fp32: bytes) -> None:
    model = onnx.load_from_string(fp32)
    model.graph.node[-1].op_type = "GlobalAveragePool"
    with pytest.raises(CheckFailedError, match="does not end as the contract says"):
        to_fp16(model.SerializeToString())
