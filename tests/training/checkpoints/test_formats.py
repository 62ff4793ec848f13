"""Each format that people have, loaded and compared with a network that is built from the same weights elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet
from torch import nn

from cxr_edge.errors import DatasetError, UsageError
from training.checkpoints import FORMATS, Normalisation, load_checkpoint
from training.model import NIH_LABELS, CheXNet

IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
IMAGENET_STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
ROUNDING = 2e-4
"""Float32 rounding through a whole small network whose logits are of order 1 to 10."""


def logits(network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found = network(image)
    return found[0] if isinstance(found, tuple) else found


def arnoweng(network, old_names):
    """The dict that arnoweng/CheXNet's training script saved from a DataParallel network under torch 0.3."""
    state = {f"module.densenet121.{name}": tensor for name, tensor in old_names(network.state_dict()).items()}
    for part in ("weight", "bias"):
        state[f"module.densenet121.classifier.0.{part}"] = state.pop(f"module.densenet121.classifier.{part}")
    return {
        "epoch": 12,
        "arch": "densenet121",
        "state_dict": state,
        "best_loss": np.float64(0.153),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.001, "betas": (0.9, 0.999)}]},
    }


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "legacy"])
def test_arnoweng_checkpoint_kept_unfolded_gives_its_own_logits(densenet, old_names, saved, display, zip_format, load):
    network = densenet(3, 14)
    path = saved(arnoweng(network, old_names), "model.pth.tar", zip_format=zip_format)
    loaded = load(path, channels=3)
    rgb = (display.expand(-1, 3, -1, -1) - IMAGENET_MEAN) / IMAGENET_STD
    assert loaded.format == "arnoweng-chexnet"
    assert loaded.labels == NIH_LABELS
    assert loaded.logit_difference is None
    assert torch.allclose(logits(loaded.model, rgb), logits(network, rgb), atol=ROUNDING)
    assert any("sigmoid" in note for note in loaded.notes)


def test_arnoweng_checkpoint_folds_to_one_channel(densenet, old_names, saved, display, load):
    network = densenet(3, 14)
    loaded = load(saved(arnoweng(network, old_names)))
    assert loaded.model.channels == 1
    assert loaded.model.outputs == 14
    rgb = (display.expand(-1, 3, -1, -1) - IMAGENET_MEAN) / IMAGENET_STD
    apart = (logits(loaded.model, 2 * display - 1) - logits(network, rgb)).abs().max()
    assert 0 < apart < 0.1 * logits(network, rgb).abs().max()


@pytest.mark.parametrize("old", [True, False], ids=["old names", "new names"])
def test_torchvision_names_old_and_new_give_the_same_network(densenet, old_names, saved, display, old, load):
    network = densenet(3, 1000)
    state = old_names(network.state_dict()) if old else network.state_dict()
    loaded = load(saved(state), channels=3)
    assert loaded.format == "torchvision"
    rgb = (display.expand(-1, 3, -1, -1) - IMAGENET_MEAN) / IMAGENET_STD
    assert torch.allclose(logits(loaded.model, rgb), logits(network, rgb), atol=ROUNDING)
    assert torch.allclose(torch.tensor(loaded.normalisation.std), IMAGENET_STD.flatten())


def test_imagenet_head_is_replaced_only_when_allowed_and_says_so(densenet, saved, load):
    path = saved(densenet(3, 1000).state_dict())
    with pytest.raises(DatasetError, match=r"has 1000 outputs, 14 were asked for.*new_head=True"):
        load(path, outputs=14)
    loaded = load(path, outputs=14, new_head=True)
    assert loaded.model.outputs == 14
    assert loaded.labels == NIH_LABELS
    assert any("new head" in note and "1000" in note for note in loaded.notes)


def test_new_head_depends_on_its_seed_alone(densenet, saved, load):
    path = saved(densenet(3, 1000).state_dict())

    def head(seed: int) -> torch.Tensor:
        return load(path, outputs=1, new_head=True, seed=seed).model.head.weight

    torch.manual_seed(1)
    first = head(0)
    torch.manual_seed(2)
    assert torch.equal(first, head(0))
    assert not torch.equal(first, head(1))


def test_loading_leaves_the_global_random_state_alone(densenet, saved, load):
    path = saved(densenet(3, 14).state_dict())
    before = torch.random.get_rng_state()
    load(path, outputs=1, new_head=True)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_fitting_head_is_kept_although_a_new_one_was_allowed(densenet, saved, load):
    network = densenet(3, 1)
    loaded = load(saved(network.state_dict()), outputs=1, new_head=True)
    assert torch.equal(loaded.model.head.weight[:, :, 0, 0], network.classifier.weight)
    assert torch.equal(loaded.model.head.bias, network.classifier.bias)


def test_torchxrayvision_scale_is_folded_and_its_thresholds_left_out(densenet, saved, display, load):
    network = densenet(1, 18)
    network.features.conv0.weight.data /= 600  # trained on inputs of that size
    state = {**network.state_dict(), "op_threshs": torch.full((18,), float("nan"))}
    loaded = load(saved(state))
    expected = logits(network, (2 * display - 1) * 1024)
    assert loaded.format == "torchxrayvision"
    assert loaded.labels[:2] == ("Atelectasis", "Consolidation")
    assert loaded.labels[-1] == "Enlarged Cardiomediastinum"
    assert torch.allclose(logits(loaded.model, 2 * display - 1), expected, atol=ROUNDING)
    assert loaded.logit_difference < ROUNDING


def test_monai_round_trip_is_exact(trained_looking, saved, blocks, display, load):
    network = trained_looking(DenseNet(spatial_dims=2, in_channels=1, out_channels=14, block_config=blocks))
    loaded = load(saved(network.state_dict()), normalisation=Normalisation((0.5,), (0.5,)))
    mine = CheXNet(1, 14, blocks)
    features = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("features.")}
    assert loaded.format == "monai"
    assert loaded.logit_difference is None
    assert all(torch.equal(loaded.model.state_dict()[name], tensor) for name, tensor in features.items())
    assert set(mine.state_dict()) == set(loaded.model.state_dict())
    assert torch.allclose(logits(loaded.model, display), logits(network, display), atol=ROUNDING)


@pytest.mark.parametrize("channels", [1, 3])
def test_monai_input_is_taken_for_display_values_unless_given(trained_looking, saved, blocks, display, channels, load):
    network = trained_looking(DenseNet(spatial_dims=2, in_channels=channels, out_channels=2, block_config=blocks))
    loaded = load(saved({"model_state_dict": network.state_dict()}))
    shown = display.expand(-1, channels, -1, -1)
    measured = (logits(loaded.model, 2 * display - 1) - logits(network, shown)).abs().max()
    assert measured < 0.1 * logits(network, shown).abs().max()
    assert any("assumed" in note for note in loaded.notes)
    assert loaded.labels == ("output 0", "output 1")


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "legacy"])
def test_weights_saved_on_a_gpu_load_where_there_is_none(densenet, saved, load, monkeypatch, zip_format):
    network = densenet(1, 18)
    with monkeypatch.context() as patch:
        patch.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
        path = saved(network.state_dict(), zip_format=zip_format)
    assert torch.equal(load(path).model.features.norm5.bias, network.features.norm5.bias)


@pytest.mark.parametrize("container", ["state_dict", "model_state_dict", "model", "net", "weights"])
def test_state_dict_is_found_where_training_scripts_keep_it(densenet, saved, container, load):
    network = densenet(1, 18)
    wrapped = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    loaded = load(saved({container: wrapped, "epoch": 3}))
    assert torch.equal(loaded.model.features.norm5.bias, network.features.norm5.bias)


def test_half_precision_weights_are_widened(densenet, saved, load):
    network = densenet(1, 18).half()
    loaded = load(saved(network.state_dict()))
    assert loaded.model.head.weight.dtype == torch.float32
    assert torch.equal(loaded.model.features.norm5.weight, network.features.norm5.weight.float())


def test_full_size_densenet_121_is_the_default(densenet, saved, display):
    network = densenet(3, 14, (6, 12, 24, 16))
    loaded = load_checkpoint(saved(network.state_dict()), pictures=display)
    assert sum(parameter.numel() for parameter in loaded.model.parameters()) == 6_961_934
    assert loaded.logit_difference is not None


def test_an_unrecognised_state_dict_lists_formats_and_its_weights(densenet, saved, load):
    with pytest.raises(DatasetError, match=r"none of the known formats.*torchxrayvision.*layer1\.weight"):
        load(saved({"layer1.weight": torch.zeros(3)}))
    ambiguous = saved(densenet(1, 5).state_dict())
    with pytest.raises(DatasetError, match="name one of them"):
        load(ambiguous)


def test_a_named_format_is_taken_at_its_word(densenet, saved, load):
    loaded = load(saved(densenet(1, 5).state_dict()), format_name="torchxrayvision")
    assert loaded.format == "torchxrayvision"
    assert loaded.labels == tuple(f"output {number}" for number in range(5))


def test_an_unknown_format_name_lists_the_known_ones(densenet, saved, load):
    with pytest.raises(UsageError, match=FORMATS[0].name):
        load(saved(densenet(1, 18).state_dict()), format_name="keras")


@pytest.mark.parametrize(("argument", "value"), [("channels", 2), ("outputs", 0)])
def test_arguments_out_of_range_are_usage_errors(densenet, saved, argument, value, load):
    path = saved(densenet(3, 14).state_dict())
    with pytest.raises(UsageError, match=f"{argument}={value}"):
        load(path, **{argument: value})


def test_a_one_channel_checkpoint_cannot_be_kept_with_three(densenet, saved, load):
    with pytest.raises(DatasetError, match="takes 1 input channel"):
        load(saved(densenet(1, 18).state_dict()), channels=3)
