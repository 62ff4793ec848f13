from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.half import emulated_fp16, to_fp16, to_int8_fp16, with_fp16_scales


def half_names(model: bytes) -> list[str]:
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), strict_mode=True).graph
    return [v.name for v in graph.value_info if v.type.tensor_type.elem_type == TensorProto.FLOAT16]


def with_outputs(model: bytes, names: list[str]) -> bytes:
    shown = onnx.load_from_string(model)
    shown.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    data: bytes = shown.SerializeToString()
    return data


@pytest.mark.parametrize("kind", ["fp16", "int8-fp16"])
def test_every_stored_tensor_holds_fp16_numbers_and_is_computed_in_float32(
    kind: str, fp32: bytes, int8: bytes, images: np.ndarray, outputs: Callable
) -> None:
    half = to_fp16(fp32) if kind == "fp16" else to_int8_fp16(with_fp16_scales(int8))
    made = {n.output[0] for n in onnx.load_from_string(half).graph.node if n.op_type != "DequantizeLinear"}
    names = [name for name in half_names(half) if name in made]
    assert len(names) > 20
    for values in outputs(with_outputs(emulated_fp16(half), names), images, names):
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, values.astype(np.float16).astype(np.float32))


def test_weights_are_rounded_and_kept_as_float32(fp32: bytes) -> None:
    half, emulated = to_fp16(fp32), emulated_fp16(to_fp16(fp32))
    stored = {t.name: t for t in onnx.load_from_string(half).graph.initializer}
    for tensor in onnx.load_from_string(emulated).graph.initializer:
        assert tensor.data_type != TensorProto.FLOAT16
        values = numpy_helper.to_array(tensor)
        np.testing.assert_array_equal(values, numpy_helper.to_array(stored[tensor.name]).astype(values.dtype))


def test_rounding_is_felt_in_the_logits_even_with_the_runtimes_optimisations(
    fp32: bytes, images: np.ndarray, outputs: Callable
) -> None:
    logits = [outputs(model, images)[0] for model in (fp32, emulated_fp16(to_fp16(fp32)))]
    assert 1e-5 < np.abs(logits[1] - logits[0]).max() < 1e-2 * np.abs(logits[0]).max()


def test_input_and_outputs_are_those_of_the_contract(fp32: bytes) -> None:
    before, after = (onnx.load_from_string(model).graph for model in (fp32, emulated_fp16(to_fp16(fp32))))
    assert list(after.input) == list(before.input)
    assert list(after.output) == list(before.output)


def test_an_integer_times_its_scale_is_not_rounded(int8: bytes) -> None:
    emulated = onnx.load_from_string(emulated_fp16(to_int8_fp16(with_fp16_scales(int8)))).graph
    made = {node.output[0] for node in emulated.node if node.op_type == "DequantizeLinear"}
    read = {name for node in emulated.node if node.op_type == "Conv" for name in node.input[:2]}
    assert read <= made
