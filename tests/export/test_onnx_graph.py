from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from tiny_run import tiny_network
from torch import nn

from cxr_edge.errors import UsageError
from export.onnx_graph import OPSET, build_fp32
from training.model import CheXNet


def randomised(network: CheXNet) -> CheXNet:
    """The network with random batch statistics, scales and shifts: fresh ones (0 and 1) would hide a wrong order."""
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.5, 0.5),
            ):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=random) * (high - low) + low)
    return network.eval()


def inputs(count: int, channels: int = 1, side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, channels, side, side)).astype(np.float32)


def onnx_outputs(model: onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logit", "cam"], {"image": image})


def torch_outputs(network: CheXNet, image: np.ndarray) -> list[np.ndarray]:
    with torch.inference_mode():
        return [output.numpy() for output in network(torch.from_numpy(image))]


def shape(value: onnx.ValueInfoProto) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (1, 14), (3, 1)])
@pytest.mark.parametrize("count", [1, 5])
def test_the_graph_computes_what_torch_computes(channels: int, outputs: int, count: int) -> None:
    network = randomised(tiny_network(channels=channels, outputs=outputs))
    model, image = build_fp32(network, 64, 64), inputs(count, channels)
    for found, expected in zip(onnx_outputs(model, image), torch_outputs(network, image), strict=True):
        assert found.shape == expected.shape
        assert np.abs(expected).max() > 0.01
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_whole_densenet_121_agrees_too() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = randomised(CheXNet())
    model = build_fp32(network, 32, 32)
    assert Counter(node.op_type for node in model.graph.node)["Conv"] == 121  # 120 of the features and the head
    image = inputs(2, side=32)
    for found, expected in zip(onnx_outputs(model, image), torch_outputs(network, image), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_logit_is_the_mean_of_the_map() -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (2, 1, 96, 64)).astype(np.float32)
    logit, cam = onnx_outputs(build_fp32(randomised(tiny_network(outputs=14)), 96, 64), image)
    assert cam.shape == (2, 14, 3, 2)
    np.testing.assert_allclose(logit, cam.mean(axis=(2, 3)), rtol=0, atol=1e-6)


def test_inputs_and_outputs_are_those_of_the_contract() -> None:
    graph = build_fp32(tiny_network(outputs=14).eval(), 224, 224).graph
    assert [(value.name, shape(value)) for value in graph.input] == [("image", ["N", 1, 224, 224])]
    assert [(value.name, shape(value)) for value in graph.output] == [("logit", ["N", 14]), ("cam", ["N", 14, 7, 7])]
    types = {value.type.tensor_type.elem_type for value in [*graph.input, *graph.output]}
    assert types == {onnx.TensorProto.FLOAT}


def test_opset_and_producer_are_fixed() -> None:
    model = build_fp32(tiny_network().eval(), 32, 32)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert (OPSET, model.ir_version, model.producer_name) == (19, 9, "cxr-edge")


def test_weights_have_the_checkpoints_names_and_values() -> None:
    network = randomised(tiny_network())
    graph = build_fp32(network, 32, 32).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    expected = {
        name: value.numpy() for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")
    }
    assert set(weights) == {*expected, "spatial_axes"}
    for name, value in expected.items():
        np.testing.assert_array_equal(weights[name], value)


def test_every_layer_can_be_addressed_by_its_name() -> None:
    names = [node.name for node in build_fp32(tiny_network().eval(), 32, 32).graph.node]
    assert len(set(names)) == len(names)
    assert {
        "features.conv0",
        "features.denseblock1.denselayer1.layers.conv2",
        "features.transition3.conv",
        "head",
    } <= set(names)


def test_the_same_weights_give_the_same_bytes() -> None:
    one, same, other = (
        build_fp32(tiny_network(seed).eval(), 32, 32).SerializeToString(deterministic=True) for seed in (0, 0, 1)
    )
    assert one == same
    assert one != other


@pytest.mark.parametrize(("height", "width"), [(100, 64), (64, 63), (0, 32)])
def test_a_size_that_the_strides_do_not_divide_is_refused(height: int, width: int) -> None:
    with pytest.raises(UsageError, match=f"{height}x{width}"):
        build_fp32(tiny_network().eval(), height, width)
