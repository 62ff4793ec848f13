from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from tiny_run import tiny_network

from cxr_edge.errors import CheckFailedError
from export.equivalence import CAM_TOLERANCE, TOLERANCE, compare_with_torch
from export.onnx_graph import build_fp32
from training.model import CheXNet


@pytest.fixture(scope="module")
def network() -> CheXNet:
    return tiny_network().eval()


@pytest.fixture(scope="module")
def model(network: CheXNet) -> onnx.ModelProto:
    return build_fp32(network, 64, 64)


def inputs(batches: int = 3, count: int = 2) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.uniform(-1, 1, (count, 1, 64, 64)).astype(np.float32) for _ in range(batches)]


def changed(model: onnx.ModelProto, weight: str, by: float) -> bytes:
    """The model with a number added to the first element of one weight."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    tensor = next(tensor for tensor in copy.graph.initializer if tensor.name == weight)
    value = numpy_helper.to_array(tensor).copy()
    value.flat[0] += by
    tensor.CopyFrom(numpy_helper.from_array(value, weight))
    return copy.SerializeToString()


def test_the_graph_of_the_same_weights_is_equivalent(network: CheXNet, model: onnx.ModelProto) -> None:
    equivalence = compare_with_torch(network, model.SerializeToString(), inputs())
    assert equivalence.images == 6
    assert 0 <= equivalence.logit <= 1e-5
    assert 0 <= equivalence.cam <= 1e-5


def test_the_largest_difference_over_all_inputs_is_reported(network: CheXNet, model: onnx.ModelProto) -> None:
    shifted = changed(model, "head.bias", TOLERANCE / 2)
    assert compare_with_torch(network, shifted, inputs()).logit == pytest.approx(TOLERANCE / 2, rel=0.1)


@pytest.mark.parametrize("weight", ["head.bias", "head.weight", "features.norm5.running_mean"])
def test_another_weight_fails_the_check_and_says_by_how_much(
    network: CheXNet, model: onnx.ModelProto, weight: str
) -> None:
    with pytest.raises(
        CheckFailedError, match=r"differs from the checkpoint by \d\.\d\de[-+]\d\d in a logit on 6 images"
    ):
        compare_with_torch(network, changed(model, weight, 5.0), inputs())


def test_one_deviating_image_among_many_is_enough(model: onnx.ModelProto) -> None:
    class DeviatesOnDarkImages(CheXNet):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logit, cam = super().forward(image)
            return logit + (image.mean(dim=(1, 2, 3)) < -0.9).float()[:, None], cam

    deviating = DeviatesOnDarkImages(blocks=(1, 1, 1, 1)).eval()
    deviating.load_state_dict(tiny_network().state_dict())
    dark = np.full((1, 1, 64, 64), -1, np.float32)
    compare_with_torch(deviating, model.SerializeToString(), inputs())
    with pytest.raises(CheckFailedError, match="in a logit on 7 images"):
        compare_with_torch(deviating, model.SerializeToString(), [*inputs(), dark])


def test_a_graph_that_gives_no_number_fails_the_check(network: CheXNet, model: onnx.ModelProto) -> None:
    with pytest.raises(CheckFailedError, match="nan in a logit"):
        compare_with_torch(network, changed(model, "head.bias", float("nan")), inputs())


def test_a_turned_map_fails_the_check_although_its_mean_is_right(network: CheXNet, model: onnx.ModelProto) -> None:
    turned = onnx.ModelProto.FromString(model.SerializeToString())
    for node in turned.graph.node:
        node.input[:] = ["upright" if name == "cam" else name for name in node.input]
        node.output[:] = ["upright" if name == "cam" else name for name in node.output]
    turned.graph.node.append(helper.make_node("Transpose", ["upright"], ["cam"], perm=[0, 1, 3, 2]))
    with pytest.raises(
        CheckFailedError, match=re.escape(f"in a cell of the map on 6 images (allowed {CAM_TOLERANCE:.0e})")
    ):
        compare_with_torch(network, turned.SerializeToString(), inputs())


def test_a_comparison_on_nothing_fails_the_check(network: CheXNet, model: onnx.ModelProto) -> None:
    with pytest.raises(CheckFailedError, match="on no image"):
        compare_with_torch(network, model.SerializeToString(), [])
