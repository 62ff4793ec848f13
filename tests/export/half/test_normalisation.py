from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.half.normalisation import without_batch_normalisation


def test_the_function_stays_and_no_normalisation_is_left(fp32: bytes, images: np.ndarray, outputs: Callable) -> None:
    model = without_batch_normalisation(onnx.load_from_string(fp32))
    assert "BatchNormalization" not in Counter(node.op_type for node in model.graph.node)
    for found, expected in zip(outputs(model.SerializeToString(), images), outputs(fp32, images), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_a_normalisation_behind_a_convolution_is_folded_and_another_is_written_out(fp32: bytes) -> None:
    before = Counter(node.op_type for node in onnx.load_from_string(fp32).graph.node)
    after = Counter(node.op_type for node in without_batch_normalisation(onnx.load_from_string(fp32)).graph.node)
    convolved = 1 + sum(node.name.endswith("norm2") for node in onnx.load_from_string(fp32).graph.node)
    assert after["Sub"] == after["Mul"] == after["Add"] == before["BatchNormalization"] - convolved
    assert after["Conv"] == before["Conv"]


def normalisation(mean: float, variance: float) -> onnx.ModelProto:
    """A normalisation of the input, which no convolution makes, with gamma 1 and beta 0.25."""
    values = {"gamma": 1.0, "beta": 0.25, "mean": mean, "variance": variance}
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("BatchNormalization", ["x", *values], ["y"], name="norm", epsilon=1e-5)],
        "norm",
        [value("x", TensorProto.FLOAT, [1, 1, 1, 2])],
        [value("y", TensorProto.FLOAT, [1, 1, 1, 2])],
        [numpy_helper.from_array(np.array([number], np.float32), name) for name, number in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def constants(mean: float, variance: float) -> dict[str, np.ndarray]:
    graph = without_batch_normalisation(normalisation(mean, variance)).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def test_a_dead_channel_keeps_a_finite_slope_in_fp16() -> None:
    slope = constants(mean=0.0, variance=0.0)["norm.slope"].astype(np.float16)
    np.testing.assert_allclose(slope.ravel(), 1e5**0.5, rtol=1e-3)


def test_a_far_mean_costs_no_accuracy_because_the_centre_is_an_fp16_number() -> None:
    parts = constants(mean=1000.3, variance=1e-4)
    centre = parts["norm.centre"].ravel()[0]
    assert centre == np.float16(centre) == 1000.5  # the nearest to 1000.3 - 0.25 * 0.0105, where the map crosses zero
    x = np.float16(1000.5)  # a value that FP16 holds
    exact = (1000.5 - 1000.3) / np.sqrt(1e-4 + 1e-5) + 0.25
    stepwise = np.float16(np.float16(x - np.float16(centre)) * np.float16(parts["norm.slope"].ravel()[0]))
    stepwise = np.float16(stepwise + np.float16(parts["norm.level"].ravel()[0]))
    assert abs(stepwise - exact) < 0.02  # slope * x alone would be 95,000, beyond FP16


def test_a_nearly_constant_channel_gets_no_far_centre() -> None:
    parts = constants(mean=0.0, variance=1e12)  # crosses zero at -250,000
    assert parts["norm.centre"].ravel()[0] == 0.0
    np.testing.assert_allclose(parts["norm.level"].ravel()[0], 0.25)
