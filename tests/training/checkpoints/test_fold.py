"""Folding three input channels into one: exact inside the picture, measured at its border."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec
from training.checkpoints import Normalisation, network_input
from training.checkpoints.fold import fold_stem, logit_difference, smooth_noise
from training.model import CheXNet


def stem(network, image):
    """conv0 and norm0 of a network whose features carry torchvision's names."""
    with torch.no_grad():
        return network.features.norm0(network.features.conv0(image))


def test_stem_is_exact_inside_the_picture_and_differs_at_its_border(densenet, saved, load):
    network = densenet(3, 14)
    loaded = load(saved(network.state_dict()))
    display = torch.rand(2, 1, 224, 224, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    difference = (stem(network, (display - mean) / std) - stem(loaded.model, (display - 0.5) / 0.5)).abs()
    assert difference.shape[2:] == (112, 112)
    # A 7x7 kernel of stride 2 and padding 3 sees padding in rows and columns 0, 1 and 111, and nowhere else.
    assert difference[:, :, 2:111, 2:111].max() < 1e-4
    affected = difference.amax(dim=(0, 1, 3)) > 1e-3
    assert affected[[0, 1, 111]].all()


def test_the_difference_of_the_whole_network_is_reported(densenet, saved, display, load):
    network = densenet(3, 14)
    path = saved(network.state_dict())
    loaded = load(path, pictures=display)
    reference = load(path, channels=3)
    with torch.no_grad():
        before = reference.model(network_input(display, reference.normalisation))[0]
        after = loaded.model(network_input(display, loaded.normalisation))[0]
    assert loaded.logit_difference == pytest.approx(float((before - after).abs().max()), rel=1e-5)
    assert 0 < loaded.logit_difference < 0.1 * float(before.abs().max())
    assert any("logits differ by at most" in note for note in loaded.notes)


def test_the_reported_difference_is_deterministic(densenet, saved, load):
    path = saved(densenet(3, 14).state_dict())
    assert load(path).logit_difference == load(path).logit_difference


def test_another_preprocessing_is_folded_for(densenet, saved, load):
    network = densenet(3, 14)
    spec = PreprocessSpec(mean=0.25, std=2.0)
    loaded = load(saved(network.state_dict()), preprocess=spec)
    display = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    difference = stem(network, (display - mean) / std) - stem(loaded.model, (display - 0.25) / 2.0)
    assert loaded.preprocess == spec
    assert difference[:, :, 2:-1, 2:-1].abs().max() < 1e-4


@settings(max_examples=25, deadline=None)
@given(
    means=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    stds=st.lists(st.floats(0.05, 2), min_size=3, max_size=3),
    target=st.tuples(st.floats(0, 1), st.floats(0.05, 2)),
)
def test_folding_is_exact_inside_for_any_normalisation(means, stds, target):
    generator = torch.Generator().manual_seed(5)
    kernels = torch.randn(8, 3, 7, 7, generator=generator) / 12
    state = {"features.conv0.weight": kernels, "features.norm0.running_mean": torch.randn(8, generator=generator)}
    source, wanted = Normalisation(tuple(means), tuple(stds)), Normalisation((target[0],), (target[1],))
    folded = fold_stem(state, source, wanted)
    display = torch.rand(1, 1, 15, 15, generator=generator)
    centred = []
    for weights, normalisation in ((state, source), (folded, wanted)):
        shown = network_input(display, normalisation)
        response = torch.nn.functional.conv2d(shown, weights["features.conv0.weight"])
        centred.append(response - weights["features.norm0.running_mean"].view(1, -1, 1, 1))
    assert torch.allclose(centred[0], centred[1], rtol=1e-4, atol=1e-4)


def test_folding_leaves_the_given_state_untouched():
    state = {"features.conv0.weight": torch.ones(2, 3, 7, 7), "features.norm0.running_mean": torch.zeros(2)}
    fold_stem(state, Normalisation((0.0,) * 3, (1.0,) * 3), Normalisation((0.5,), (0.5,)))
    assert torch.equal(state["features.conv0.weight"], torch.ones(2, 3, 7, 7))
    assert torch.equal(state["features.norm0.running_mean"], torch.zeros(2))


@pytest.mark.parametrize(
    "pictures",
    [torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 16, 16), torch.zeros(64, 64), torch.full((1, 1, 64, 64), 255.0)],
    ids=["colour", "too small", "no batch", "not display values"],
)
def test_unusable_test_pictures_are_refused(blocks, pictures):
    network = CheXNet(1, 1, blocks).eval()
    same = Normalisation((0.5,), (0.5,))
    with pytest.raises(UsageError, match="test pictures"):
        logit_difference(network, same, network, same, pictures)


def test_a_network_that_gives_nan_is_refused(densenet, saved, load):
    network = densenet(3, 14)
    network.features.norm5.running_var.fill_(-1.0)
    with pytest.raises(DatasetError, match="NaN or infinite logits"):
        load(saved(network.state_dict()))


def test_smooth_noise_is_seeded_and_in_range():
    pictures = smooth_noise(3, 40, 50)
    assert pictures.shape == (3, 1, 40, 50)
    assert 0 <= pictures.min() < 0.4
    assert 0.6 < pictures.max() <= 1
    assert torch.equal(pictures, smooth_noise(3, 40, 50))


@pytest.mark.parametrize(
    ("mean", "std"), [((), ()), ((0.5,), (0.5, 0.5)), ((0.5,), (0.0,)), ((float("nan"),), (1.0,))], ids=str
)
def test_impossible_normalisations_are_refused(mean, std):
    with pytest.raises(UsageError):
        Normalisation(mean, std)


def test_a_normalisation_of_other_channels_is_refused(densenet, saved, load):
    with pytest.raises(UsageError, match="2 channels does not fit a network of 3"):
        load(saved(densenet(3, 14).state_dict()), normalisation=Normalisation((0.5, 0.5), (1.0, 1.0)))
