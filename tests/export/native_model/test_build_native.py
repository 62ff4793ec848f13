"""From a small FP32 network to integers: the engine's arithmetic follows the floating-point network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from calibration.ranges import Ranges, collect_ranges
from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec
from export.int8 import range_tensors
from export.native_model import NativeNetwork, interpret, read_native, write_native
from export.native_model.build import NativeOptions, build_native
from export.onnx_graph import build_fp32
from training.model import CheXNet

SIDE = 64


@pytest.fixture(scope="module")
def fp32() -> bytes:
    """A DenseNet with slopes of both signs and channels whose spans differ by orders of magnitude."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = CheXNet(blocks=(2, 2, 2, 2)).eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                sign = torch.where(torch.rand(module.num_features) < 0.2, -1.0, 1.0)
                module.weight.data = sign * torch.exp(torch.empty(module.num_features).uniform_(-2, 1))
                nn.init.uniform_(module.bias, -0.3, 0.5)
                module.weight.data[3] = 0.0
    return bytes(build_fp32(network, SIDE, SIDE).SerializeToString())


def noise(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-1, 1, (count, 1, SIDE // 8, SIDE // 8)).repeat(8, axis=2).repeat(8, axis=3)
    return (0.8 * coarse + 0.2 * rng.uniform(-1, 1, (count, 1, SIDE, SIDE))).astype(np.float32)


@pytest.fixture(scope="module")
def ranges(fp32: bytes) -> Ranges:
    return collect_ranges(fp32, range_tensors(fp32), [noise(8, 1)], preprocess=PreprocessSpec(height=SIDE, width=SIDE))


def errors(network: NativeNetwork, fp32: bytes, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(fp32, providers=["CPUExecutionProvider"])
    (expected,) = session.run(["logit"], {"image": images})
    return np.abs([interpret(network, image[0]).logit[0] for image in images] - expected[:, 0])


@pytest.fixture(scope="module")
def spread(fp32: bytes) -> float:
    """How much logits differ between images, which errors are to be small against."""
    session = onnxruntime.InferenceSession(fp32, providers=["CPUExecutionProvider"])
    return float(np.std(session.run(["logit"], {"image": noise(8, 2)})[0]))


@pytest.mark.parametrize("clamp", [False, True], ids=["affine", "clamp"])
def test_logits_of_unseen_images_are_close_to_those_in_floating_point(
    fp32: bytes, ranges: Ranges, spread: float, clamp: bool
) -> None:
    network = build_native(fp32, ranges, noise(8, 1), NativeOptions(clamp=clamp, rounding="nearest"))
    assert errors(network, fp32, noise(4, 3)).mean() < 0.35 * spread


def test_bias_correction_brings_the_mean_logit_of_the_range_images_back(fp32: bytes, ranges: Ranges) -> None:
    images = noise(8, 1)
    found = []
    for correction in (False, True):
        options = NativeOptions(rounding="nearest", bias_correction=correction)
        found.append(errors(build_native(fp32, ranges, images, options), fp32, images).mean())
    assert found[1] < found[0]


def test_what_is_built_fits_the_file(fp32: bytes, ranges: Ranges) -> None:
    names: list[str] = []
    network = build_native(fp32, ranges, noise(4, 1), NativeOptions(rounding="nearest"), on_layer=names.append)
    data = write_native(network)
    assert write_native(read_native(data)) == data
    assert len(names) == len(set(names)) == 1 + 2 * 8 + 3 + 1
    assert names[0] == "features.conv0"
    assert names[-1] == "head"


def test_without_images_or_with_ranges_of_other_tensors_nothing_is_built(fp32: bytes, ranges: Ranges) -> None:
    with pytest.raises(UsageError, match="range images"):
        build_native(fp32, ranges, noise(0, 1))
    with pytest.raises(DatasetError, match="no tensor"):
        build_native(fp32, replace(ranges, tensors={}), noise(2, 1), NativeOptions(rounding="nearest"))
