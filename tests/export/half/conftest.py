"""Small graphs of the shipped form: a tiny CheXNet with statistics that are not 0 and 1, and a Q/DQ version of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from tiny_run import tiny_network
from torch import nn

from export.half.normalisation import without_batch_normalisation
from export.onnx_graph import build_fp32

SIDE = 32
Outputs = Callable[..., list[np.ndarray]]


@pytest.fixture(scope="session")
def fp32() -> bytes:
    """A float32 graph with random batch statistics, scales and shifts."""
    network = tiny_network()
    random = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -2.0, 2.0),
                (module.running_var, 0.3, 3.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.5, 0.5),
            ):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=random) * (high - low) + low)
    data: bytes = build_fp32(network.eval(), SIDE, SIDE).SerializeToString()
    return data


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(5).uniform(-1, 1, (6, 1, SIDE, SIDE)).astype(np.float32)


@pytest.fixture(scope="session")
def int8(fp32: bytes) -> bytes:
    """Q/DQ on convolution inputs with one power-of-two scale, weights per output channel with scales of any value."""
    model = without_batch_normalisation(onnx.load_from_string(fp32))
    graph = model.graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zero = numpy_helper.from_array(np.array(0, np.int8), "zero")
    added, nodes = [numpy_helper.from_array(np.array(2.0**-4, np.float32), "step"), zero], []
    for node in graph.node:
        if node.op_type == "Conv":
            kernel, name = weights[node.input[1]], node.name
            scale = np.abs(kernel).max(axis=(1, 2, 3)) / np.float32(127)
            stored = np.rint(kernel / scale[:, None, None, None]).astype(np.int8)
            added += [numpy_helper.from_array(stored, f"{name}.q"), numpy_helper.from_array(scale, f"{name}.s")]
            nodes += [
                helper.make_node("QuantizeLinear", [node.input[0], "step", "zero"], [f"{name}.i"], name=f"{name}.Q"),
                helper.make_node("DequantizeLinear", [f"{name}.i", "step", "zero"], [f"{name}.x"], name=f"{name}.DQ"),
                helper.make_node(
                    "DequantizeLinear", [f"{name}.q", f"{name}.s"], [f"{name}.w"], name=f"{name}.W", axis=0
                ),
            ]
            node.input[0], node.input[1] = f"{name}.x", f"{name}.w"
        nodes.append(node)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(added)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture(scope="session")
def outputs() -> Outputs:
    """Outputs of a model on the CPU, with the graph optimisations that a session has by default."""

    def run(model: bytes, image: np.ndarray, names: list[str] | None = None) -> list[np.ndarray]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        found: list[np.ndarray] = session.run(names or ["logit", "cam"], {"image": image})
        return found

    return run
