"""Channels shifted at random while a network trains: by how much, when, and that nothing of it is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import one_thread, three_folds, tiny_network, tiny_options
from torch import Tensor, nn

from cxr_edge.errors import UsageError
from training.channel_shifts import with_channel_shifts
from training.entry import configuration, train_from_options
from training.model import CheXNet

SHARE = 0.1


def recorded(network: CheXNet, image: Tensor) -> list[tuple[nn.Conv2d, Tensor, Tensor]]:
    """Every convolution of the features with its input and what it gave, shifts included."""
    found: list[tuple[nn.Conv2d, Tensor, Tensor]] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        found.append((module, inputs[0].detach(), output.detach()))

    for module in network.features.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(keep)
    network(image)
    return found


def test_each_image_s_channels_are_shifted_as_wholes_by_a_share_of_their_spread() -> None:
    torch.manual_seed(0)
    network, image = with_channel_shifts(tiny_network(), SHARE).train(), torch.randn(8, 1, 64, 64)
    sizes = []
    for module, read, given in recorded(network, image):
        plain = torch.conv2d(read, module.weight, module.bias, module.stride, module.padding)
        shift = given - plain
        torch.testing.assert_close(shift, shift[:, :, :1, :1].expand_as(shift), rtol=0, atol=1e-4)
        sizes.append((shift[:, :, 0, 0] / plain.std(dim=(0, 2, 3))).flatten())
    drawn = torch.cat(sizes).detach()
    assert len(sizes) > 10
    assert float(drawn.std()) == pytest.approx(SHARE, rel=0.1)
    assert abs(float(drawn.mean())) < 0.02


def test_nothing_is_shifted_in_evaluation_and_nothing_is_added_to_the_checkpoint() -> None:
    plain, image = tiny_network(), torch.randn(2, 1, 64, 64)
    names = list(plain.state_dict())
    expected = plain.eval()(image)[0]
    shifted = with_channel_shifts(plain, SHARE).eval()
    assert torch.equal(shifted(image)[0], expected)
    assert list(shifted.state_dict()) == names
    assert not torch.equal(shifted.train()(image)[0], shifted(image)[0])


def test_a_stopped_run_with_shifts_ends_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    data = three_folds(tmp_path / "data")
    options = tiny_options(tmp_path / "whole", data, channel_shifts=SHARE, only=("fold-1",))
    stopped, asked = replace(options, output=tmp_path / "stopped"), iter((False, True))
    plain = replace(options, output=tmp_path / "plain", channel_shifts=0.0)
    with one_thread():
        train_from_options(options, lambda *progress: None, lambda: False, lambda note: None)
        train_from_options(plain, lambda *progress: None, lambda: False, lambda note: None)
        with pytest.raises(KeyboardInterrupt):
            train_from_options(stopped, lambda *progress: None, lambda: next(asked), lambda note: None)
        train_from_options(stopped, lambda *progress: None, lambda: False, lambda note: None)
    whole, resumed, without = (
        (tmp_path / name / "fold-1" / "predictions.csv").read_text() for name in ("whole", "stopped", "plain")
    )
    assert resumed == whole
    assert without != whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_shifts": -0.1}, "0 to 1"),
        ({"channel_shifts": float("nan")}, "0 to 1"),
        ({"channel_shifts": 0.1, "tune": "head", "initial": Path("x.pt")}, "--tune all"),
    ],
)
def test_shifts_that_mean_nothing_are_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        configuration(tiny_options(tmp_path / "run", tmp_path / "labels.csv", **changes))
