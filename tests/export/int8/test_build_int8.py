from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from calibration.ranges import Ranges
from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec
from export.int8 import Int8Model, Int8Options, build_int8, read_network
from export.int8.exactness import logits_of
from export.int8.weights import Rounding

Batches = tuple[np.ndarray, ...]
LAYOUTS = (
    Int8Options(layout="conv-inputs", unsigned_hidden=False),
    Int8Options(layout="all-int8", unsigned_hidden=False),
    Int8Options(layout="all-int8", unsigned_hidden=True),
    Int8Options(layout="all-int8", unsigned_hidden=True, clamp=True),
)


@pytest.fixture(scope="module", params=LAYOUTS, ids=["conv-inputs", "all-int8", "all-uint8", "clamp"])
def built(request: pytest.FixtureRequest, fp32: bytes, ranges: Ranges, batches: Batches) -> Int8Model:
    return build_int8(fp32, ranges, request.param, batches)


def test_the_logits_stay_close_to_fp32(built: Int8Model, fp32: bytes, batches: Batches) -> None:
    expected, expected_map = logits_of(fp32, batches)
    logit, cam = logits_of(built.model, batches)
    assert expected.std() > 0.05
    assert np.sqrt(np.mean((logit - expected) ** 2)) < 0.05 * expected.std()
    assert np.corrcoef(cam.ravel(), expected_map.ravel())[0, 1] > 0.99
    np.testing.assert_allclose(logit, cam.mean(axis=(2, 3)), atol=1e-5)


def test_contract_and_names_are_those_of_the_fp32_graph(built: Int8Model, fp32: bytes) -> None:
    graph, original = onnx.ModelProto.FromString(built.model).graph, onnx.ModelProto.FromString(fp32).graph
    for one, other in ((graph.input, original.input), (graph.output, original.output)):
        assert [value.SerializeToString() for value in one] == [value.SerializeToString() for value in other]
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    assert convolutions == [node.name for node in original.node if node.op_type == "Conv"]
    assert len({node.name for node in graph.node}) == len(graph.node)


def test_quantised_weights_are_stored_as_integers_only(built: Int8Model) -> None:
    graph = onnx.ModelProto.FromString(built.model).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    assert set(built.network.convolutions).isdisjoint({"features.conv0", "head"})
    for name, found in built.network.convolutions.items():
        weight = stored[f"{name}.weight"]
        assert weight.data_type == TensorProto.INT8
        np.testing.assert_array_equal(numpy_helper.to_array(weight), found.weight)
    large = [t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT and np.prod(t.dims) > 4096]
    assert large == []


def test_activations_go_through_powers_of_two(built: Int8Model) -> None:
    graph = onnx.ModelProto.FromString(built.model).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    grids = {node.input[1:3][0]: node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    found = {(float(stored[scale]), str(stored[zero].dtype), int(stored[zero])) for scale, zero in grids.items()}
    signed = {(2.0**-7, "int8", 0)}
    assert found == ({(2.0**-7, "uint8", 128), (2.0**-8, "uint8", 0)} if built.options.unsigned_hidden else signed)


def test_the_concatenation_is_stored_in_eight_bits_only_in_that_layout(built: Int8Model) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(built.model))
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    found = {types[node.output[0]] for node in model.graph.node if node.op_type == "Concat"}
    eight_bits = TensorProto.UINT8 if built.options.unsigned_hidden else TensorProto.INT8
    assert found == {eight_bits if built.options.layout == "all-int8" else TensorProto.FLOAT}


def test_the_record_says_what_was_done(built: Int8Model, fp32: bytes) -> None:
    record = built.to_json()
    assert record["fp32_sha256"] == hashlib.sha256(fp32).hexdigest()
    assert record["layout"] == built.options.layout
    assert record["quantised_convolutions"] == 15  # two for each of six layers, three transitions
    assert record["range_images"] == 6
    assert all(part["logit"] < 1e-4 for part in record["rewrites"].values())
    assert record["bytes"] == len(built.model)


@pytest.mark.parametrize("rounding", ["scale-search", "output-error"])
def test_roundings_that_learn_from_images_give_the_same_bytes_again(
    fp32: bytes, ranges: Ranges, batches: Batches, rounding: Rounding
) -> None:
    most = tuple(name for name in read_network(fp32).convolutions() if "denseblock1" not in name)
    options = Int8Options(rounding=rounding, keep_float=most)
    one, same = (build_int8(fp32, ranges, options, batches) for _ in range(2))
    assert one.model == same.model
    assert len(one.network.convolutions) == 4
    expected = logits_of(fp32, batches)[0]
    assert np.abs(logits_of(one.model, batches)[0] - expected).max() < 0.05 * expected.std()


def test_openvino_gives_the_same_logits(built: Int8Model, batches: Batches, tmp_path: Path) -> None:
    """In a process of its own: OpenVINO has been seen to crash on quantised graphs."""
    pytest.importorskip("openvino")
    (tmp_path / "model.onnx").write_bytes(built.model)
    np.save(tmp_path / "images.npy", batches[0])
    code = (
        "import sys, numpy, openvino\n"
        "model = openvino.Core().compile_model('model.onnx', 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})\n"
        "numpy.save('logit.npy', model([numpy.load('images.npy')])[model.output('logit')])\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
    expected = logits_of(built.model, batches[:1])[0]
    np.testing.assert_allclose(np.load(tmp_path / "logit.npy"), expected, atol=0.03)


def test_layers_asked_for_stay_float(fp32: bytes, ranges: Ranges) -> None:
    options = Int8Options(rounding="nearest", bias_correction=False, keep_float=("features.conv0", "head"))
    more = replace(options, keep_float=(*options.keep_float, "features.transition1.conv"))
    inputs = (np.zeros((1, 1, 64, 64), np.float32),)
    gone = set(build_int8(fp32, ranges, options, inputs).network.convolutions) - set(
        build_int8(fp32, ranges, more, inputs).network.convolutions
    )
    assert gone == {"features.transition1.conv"}


def test_stem_and_head_can_be_quantised_too(fp32: bytes, ranges: Ranges, batches: Batches) -> None:
    found = build_int8(fp32, ranges, Int8Options(keep_float=()), batches)
    assert {"features.conv0", "head"} < set(found.network.convolutions)
    expected = logits_of(fp32, batches)[0]
    assert np.abs(logits_of(found.model, batches)[0] - expected).max() < 0.2 * expected.std()


def test_bad_requests_are_refused(fp32: bytes, ranges: Ranges, batches: Batches) -> None:
    with pytest.raises(UsageError, match="no convolution 'features.conv9' to keep in float"):
        build_int8(fp32, ranges, Int8Options(keep_float=("features.conv9",)), batches)
    with pytest.raises(DatasetError, match="stale"):
        build_int8(fp32, replace(ranges, model_sha256="0" * 64), Int8Options(), batches)
    with pytest.raises(DatasetError, match="stale"):
        ranges.require_fresh(ranges.model_sha256, PreprocessSpec(height=128, width=128))
    missing = {name: part for name, part in ranges.tensors.items() if not name.endswith("norm2.relu")}
    with pytest.raises(DatasetError, match="have no tensor"):
        build_int8(fp32, replace(ranges, tensors=missing), Int8Options(), batches)
