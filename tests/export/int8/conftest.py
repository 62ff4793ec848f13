"""A small DenseNet with lively statistics, its FP32 file, and ranges from noise: made once for all tests of INT8."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from calibration.ranges import RangeMethod, Ranges, collect_ranges
from cxr_edge.preprocess.spec import PreprocessSpec
from export.int8 import range_tensors
from export.onnx_graph import build_fp32
from training.model import CheXNet

SIDE = 64


def lively_network(blocks: tuple[int, ...] = (2, 1, 1, 2), outputs: int = 2) -> CheXNet:
    """Random statistics, scales that differ by orders of magnitude, some negative, one zero, and one dead channel."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = CheXNet(blocks=blocks, outputs=outputs).eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                nn.init.uniform_(module.running_mean, -0.3, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                sign = torch.where(torch.rand(module.num_features) < 0.2, -1.0, 1.0)
                module.weight.data = sign * torch.exp(torch.empty(module.num_features).uniform_(-2, 1))
                nn.init.uniform_(module.bias, -0.3, 0.5)
                module.weight.data[3] = 0.0
                module.weight.data[5], module.bias.data[5] = 1e-6, -1.0
    return network


@pytest.fixture(scope="session")
def fp32() -> bytes:
    return bytes(build_fp32(lively_network(), SIDE, SIDE).SerializeToString())


@pytest.fixture(scope="session")
def batches() -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(1)
    smooth = random.uniform(-1, 1, (6, 1, SIDE // 8, SIDE // 8)).repeat(8, axis=2).repeat(8, axis=3)
    images = (0.7 * smooth + 0.3 * random.uniform(-1, 1, (6, 1, SIDE, SIDE))).astype(np.float32)
    return images[:3], images[3:]


@pytest.fixture(scope="session")
def ranges(fp32: bytes, batches: tuple[np.ndarray, ...]) -> Ranges:
    spec = PreprocessSpec(height=SIDE, width=SIDE)
    return collect_ranges(fp32, range_tensors(fp32), batches, preprocess=spec, method=RangeMethod())
