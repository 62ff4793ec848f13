from __future__ import annotations

import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from tiny_run import tiny_network

from cxr_edge.errors import UsageError
from export.onnx_graph import build_fp32
from export.plain_int8 import RangeMethod, quantised_by_nncf, quantised_by_onnxruntime
from export.plain_int8.onnxruntime_static import portion

SIDE = 32


@pytest.fixture(scope="module")
def fp32() -> bytes:
    data: bytes = build_fp32(tiny_network().eval(), SIDE, SIDE).SerializeToString()
    return data


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (6, 1, SIDE, SIDE)).astype(np.float32)


def logits(model: bytes, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(["logit"], {"image": images})[0]
    return found


@pytest.mark.parametrize("method", ["min-max", "percentile", "entropy"])
def test_onnxruntime_quantises_convolution_inputs_only_and_symmetrically(
    method: RangeMethod, fp32: bytes, images: np.ndarray
) -> None:
    model = onnx.load_from_string(quantised_by_onnxruntime(fp32, images, method))
    made = {node.output[0]: node for node in model.graph.node}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert all(made[name].op_type == "DequantizeLinear" for node in convolutions for name in node.input[:2])
    quantised = {made[node.input[0]].input[0] for node in convolutions}
    assert Counter(node.op_type for node in model.graph.node)["QuantizeLinear"] == len(quantised)
    zeros = [t for t in model.graph.initializer if t.name.endswith("zero_point")]
    assert zeros
    assert not any(onnx.numpy_helper.to_array(tensor).any() for tensor in zeros)


def test_methods_give_different_models_that_stay_near_float32(fp32: bytes, images: np.ndarray) -> None:
    expected = logits(fp32, images)
    models = {
        quantised_by_onnxruntime(fp32, images, "min-max"),
        quantised_by_onnxruntime(fp32, images, "percentile", 90),
    }
    assert len(models) == 2
    for model in models:
        assert 0 < np.abs(logits(model, images) - expected).max() < np.abs(expected).max()


def test_portions_of_images_give_the_ranges_of_all_of_them(fp32: bytes, images: np.ndarray) -> None:
    assert [portion(count) for count in (1, 7, 8, 11, 100, 400)] == [1, 7, 8, 1, 5, 8]
    loud = images.copy()
    loud[-1] *= 3.0  # in the last portion, and alone decides the range of the input
    model = onnx.load_from_string(quantised_by_onnxruntime(fp32, np.concatenate([loud, loud[:3]]), "min-max"))
    scale = next(t for t in model.graph.initializer if t.name == "image_scale")
    np.testing.assert_allclose(onnx.numpy_helper.to_array(scale) * 127.5, np.abs(loud).max(), rtol=0.01)


def test_nothing_is_printed_logged_or_left_behind(
    fp32: bytes, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    level = logging.getLogger().level
    quantised_by_onnxruntime(fp32, images)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().level == level


def test_nncf_writes_a_model_that_onnxruntime_runs(
    fp32: bytes, images: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nncf")
    model = quantised_by_nncf(fp32, images)
    assert capfd.readouterr().out == ""
    assert Counter(node.op_type for node in onnx.load_from_string(model).graph.node)["QuantizeLinear"] > 3
    expected = logits(fp32, images)
    assert 0 < np.abs(logits(model, images) - expected).max() < np.abs(expected).max()


def test_a_missing_nncf_is_named(fp32: bytes, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(UsageError, match="pip install nncf"):
        quantised_by_nncf(fp32, images)


@pytest.mark.parametrize("quantised", [quantised_by_nncf, quantised_by_onnxruntime])
def test_images_that_are_no_network_inputs_are_refused(quantised, fp32: bytes, images: np.ndarray) -> None:
    broken = images.copy()
    broken[0, 0, 0, 0] = np.nan
    for wrong in (images[:0], images[0], images.astype(np.float64), broken):
        with pytest.raises(UsageError, match="range images"):
            quantised(fp32, wrong)
