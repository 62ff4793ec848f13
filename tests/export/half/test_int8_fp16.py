from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from cxr_edge.errors import CheckFailedError
from export.half import emulated_fp16, to_int8_fp16, with_fp16_scales
from export.half.scales import SMALLEST, fp16_not_below


def constants(model: bytes) -> dict[str, np.ndarray]:
    graph = onnx.load_from_string(model).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def dequantised(model: bytes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Integers and scales of every DequantizeLinear of weights, scales in float64."""
    values = constants(model)
    return {
        node.name: (values[node.input[0]], values[node.input[1]].astype(np.float64))
        for node in onnx.load_from_string(model).graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in values
    }


def test_integers_and_scales_are_the_same_numbers(int8: bytes) -> None:
    source = with_fp16_scales(int8)
    before, after = dequantised(source), dequantised(to_int8_fp16(source))
    assert set(before) == set(after)
    for name, (integers, scales) in before.items():
        np.testing.assert_array_equal(after[name][0], integers)
        np.testing.assert_array_equal(after[name][1], scales)


def test_nodes_keep_their_order_names_and_attributes(int8: bytes) -> None:
    source = with_fp16_scales(int8)
    before = list(onnx.load_from_string(source).graph.node)
    after = [node for node in onnx.load_from_string(to_int8_fp16(source)).graph.node if node.op_type != "Cast"]
    same = [(node.op_type, node.name, list(node.output), list(node.attribute)) for node in before]
    assert [(node.op_type, node.name, list(node.output), list(node.attribute)) for node in after] == same


def test_a_scale_shared_by_head_and_body_exists_in_both_types(int8: bytes) -> None:
    kinds = {t.name: t.data_type for t in onnx.load_from_string(to_int8_fp16(with_fp16_scales(int8))).graph.initializer}
    assert (kinds["step"], kinds["step.half"]) == (TensorProto.FLOAT, TensorProto.FLOAT16)


def test_a_scale_that_is_no_fp16_number_is_refused(int8: bytes) -> None:
    with pytest.raises(CheckFailedError, match="with_fp16_scales"):
        to_int8_fp16(int8)


def test_rounding_the_scales_changes_no_integer_and_hardly_a_logit(
    int8: bytes, images: np.ndarray, outputs: Callable
) -> None:
    rounded = with_fp16_scales(int8)
    before, after = dequantised(int8), dequantised(rounded)
    for name, (integers, scales) in before.items():
        np.testing.assert_array_equal(after[name][0], integers)
        assert (after[name][1] >= scales).all()
        np.testing.assert_allclose(after[name][1], scales, rtol=2.0**-10)
    logits = [outputs(model, images)[0] for model in (int8, rounded)]
    np.testing.assert_allclose(logits[1], logits[0], atol=0.1 * np.abs(logits[0]).max())
    assert with_fp16_scales(rounded) == rounded


def test_a_subnormal_scale_grows_and_the_weights_stay_within_half_a_step() -> None:
    scales = np.array([1e-9, 7e-8, 1e-6, 3e-5, 0.02], np.float32)
    rounded = fp16_not_below(scales, "s")
    assert (rounded >= scales).all()
    assert rounded[0] == SMALLEST
    np.testing.assert_array_equal(rounded, rounded.astype(np.float16))
    assert (rounded - scales <= np.maximum(SMALLEST, scales * 2.0**-10)).all()


@pytest.mark.parametrize("bad", [0.0, -1e-3, np.nan, 1e6])
def test_a_scale_that_is_not_positive_or_too_large_is_refused(bad: float) -> None:
    with pytest.raises(CheckFailedError, match="'layer.s'"):
        fp16_not_below(np.array([0.1, bad], np.float32), "layer.s")


def test_the_fp16_graph_decides_like_the_int8_graph(int8: bytes, images: np.ndarray, outputs: Callable) -> None:
    source = with_fp16_scales(int8)
    twin = to_int8_fp16(source)
    expected = outputs(source, images)[0]
    for model in (twin, emulated_fp16(twin)):
        np.testing.assert_allclose(outputs(model, images)[0], expected, atol=0.15 * np.abs(expected).max())


def test_unsigned_integers_are_refused_because_tensorrt_has_none(int8: bytes) -> None:
    model = onnx.load_from_string(with_fp16_scales(int8))
    for tensor in model.graph.initializer:
        if tensor.name == "zero":
            tensor.CopyFrom(numpy_helper.from_array(np.array(0, np.uint8), "zero"))
    with pytest.raises(CheckFailedError, match="'zero' is UINT8"):
        to_int8_fp16(model.SerializeToString())
