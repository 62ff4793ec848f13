from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from calibration.ranges import RangeMethod, Ranges, collect_ranges
from cxr_edge.errors import DatasetError, UnsupportedInputError
from cxr_edge.preprocess.spec import PreprocessSpec

SPEC = PreprocessSpec(height=8, width=8)


def model(scale: float = 1.0) -> bytes:
    """image * [1, 10, 0] as three channels, and their ReLU."""
    make = helper
    factors = make.make_tensor("factors", TensorProto.FLOAT, [3, 1, 1], [scale, 10 * scale, 0])
    graph = make.make_graph(
        [make.make_node("Mul", ["image", "factors"], ["inner"]), make.make_node("Relu", ["inner"], ["positive"])],
        "three channels",
        [make.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [make.make_tensor_value_info("positive", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [factors],
    )
    made = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


@pytest.fixture
def batches() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.uniform(-1, 2, (count, 1, 8, 8)).astype(np.float32) for count in (3, 2)]


def collected(batches: list[np.ndarray], **method: object) -> Ranges:
    return collect_ranges(
        model(),
        ("inner", "positive"),
        batches,
        preprocess=SPEC,
        method=RangeMethod(**method),  # type: ignore[arg-type]
    )


def test_extremes_are_those_of_all_batches(batches: list[np.ndarray]) -> None:
    found = collected(batches)
    values = np.concatenate(batches)
    low, high = float(values.min()), float(values.max())
    np.testing.assert_allclose(found.of("inner").low, [low, 10 * low, 0], rtol=1e-6)
    np.testing.assert_allclose(found.of("inner").high, [high, 10 * high, 0], rtol=1e-6)
    np.testing.assert_allclose(found.of("positive").low, 0)
    assert found.of("inner").dead.tolist() == [False, False, True]
    assert found.image_count == 5


def test_a_range_for_the_whole_tensor_is_the_widest(batches: list[np.ndarray]) -> None:
    found = collected(batches, granularity="tensor").of("inner")
    assert len(set(found.low)) == len(set(found.high)) == 1
    assert found.high[0] == pytest.approx(10 * max(float(batch.max()) for batch in batches))


def test_a_margin_widens_ranges_but_not_below_zero_after_a_relu(batches: list[np.ndarray]) -> None:
    plain, wide = collected(batches), collected(batches, margin=0.1)
    width = plain.of("inner").high[0] - plain.of("inner").low[0]
    assert wide.of("inner").low[0] == pytest.approx(plain.of("inner").low[0] - 0.1 * width)
    assert wide.of("positive").low[0] == 0
    assert wide.of("positive").high[0] == pytest.approx(1.1 * plain.of("positive").high[0])


@pytest.mark.parametrize("kind", ["percentile", "entropy"])
def test_other_methods_cut_outliers_off(kind: str) -> None:
    values = np.random.default_rng(0).normal(0, 1, (40, 1, 8, 8)).astype(np.float32)
    values[0, 0, 0, 0] = 100
    found = collected([values], kind=kind, percentile=99.9).of("positive")
    assert 1.5 < found.high[0] < 60
    assert found.low[0] == 0
    assert found.high[2] == 0


def test_progress_counts_the_batches_of_every_pass(batches: list[np.ndarray]) -> None:
    for kind, passes in (("min-max", 1), ("percentile", 2)):
        seen: list[tuple[int, int]] = []
        collect_ranges(
            model(),
            ("inner",),
            batches,
            preprocess=SPEC,
            method=RangeMethod(kind=kind),  # type: ignore[arg-type]
            on_batch=lambda done, of, seen=seen: seen.append((done, of)),  # type: ignore[misc]
        )
        assert seen == [(number, 2 * passes) for number in range(1, 2 * passes + 1)]


def test_the_record_names_model_preprocessing_and_images(batches: list[np.ndarray]) -> None:
    found = collect_ranges(model(), ("inner",), batches, preprocess=SPEC, images=("ab", "cd"))
    assert found.model_sha256 == hashlib.sha256(model()).hexdigest()
    assert (found.preprocess, found.images) == (SPEC, ("ab", "cd"))
    assert set(found.versions) == {"cxr-edge", "numpy", "onnx", "onnxruntime"}


def test_no_images_no_tensor_and_no_number_are_errors(batches: list[np.ndarray]) -> None:
    with pytest.raises(DatasetError, match="the list is empty"):
        collect_ranges(model(), ("inner",), [], preprocess=SPEC)
    with pytest.raises(UnsupportedInputError, match="no tensor 'outer'"):
        collect_ranges(model(), ("outer",), batches, preprocess=SPEC)
    batches[1][0, 0, 2, 2] = np.nan
    with pytest.raises(DatasetError, match="inner of the FP32 model has values that are not finite in 3 channels"):
        collect_ranges(model(), ("inner",), batches, preprocess=SPEC)
