"""Checkpoints as other projects write them, from a network that is built here and nowhere shares code with ours."""

from __future__ import annotations

import functools
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.checkpoints import LoadedCheckpoint, load_checkpoint

BLOCKS = (2, 2, 2, 2)
GROWTH = 32


class DenseLayer(nn.Sequential):
    def __init__(self, features: int) -> None:
        super().__init__(
            OrderedDict(
                norm1=nn.BatchNorm2d(features),
                relu1=nn.ReLU(),
                conv1=nn.Conv2d(features, 4 * GROWTH, 1, bias=False),
                norm2=nn.BatchNorm2d(4 * GROWTH),
                relu2=nn.ReLU(),
                conv2=nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, super().forward(x)], dim=1)


class TorchvisionDenseNet(nn.Module):
    """A DenseNet-BC with the layer names of torchvision and torchxrayvision (Huang et al., CVPR 2017)."""

    def __init__(self, channels: int, outputs: int, blocks: tuple[int, ...] = BLOCKS) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(64),
            relu0=nn.ReLU(),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        features = 64
        for number, count in enumerate(blocks, 1):
            block = OrderedDict((f"denselayer{i + 1}", DenseLayer(features + GROWTH * i)) for i in range(count))
            layers[f"denseblock{number}"] = nn.Sequential(block)
            features += GROWTH * count
            if number < len(blocks):
                layers[f"transition{number}"] = nn.Sequential(
                    OrderedDict(
                        norm=nn.BatchNorm2d(features),
                        relu=nn.ReLU(),
                        conv=nn.Conv2d(features, features // 2, 1, bias=False),
                        pool=nn.AvgPool2d(2),
                    )
                )
                features //= 2
        layers["norm5"] = nn.BatchNorm2d(features)
        self.features = nn.Sequential(layers)
        self.classifier: nn.Module = nn.Linear(features, outputs)

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(torch.relu(self.features(image)).mean(dim=(2, 3)))


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in evaluation mode with batch normalisations that do something, as after training."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.7, 1.3, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.7, 1.5, generator=generator)
            module.num_batches_tracked.fill_(7)
    return network.eval()


def with_old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As torchvision wrote it under torch 0.3: ``norm.1`` for ``norm1``, and no ``num_batches_tracked``."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): tensor
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These networks are so small that on a busy machine threads wait for each other far longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def densenet() -> Callable[..., TorchvisionDenseNet]:
    """Makes a small network of torchvision's structure with seeded, trained-looking weights."""

    def make(channels: int, outputs: int, blocks: tuple[int, ...] = BLOCKS) -> TorchvisionDenseNet:
        with torch.random.fork_rng(devices=[]):
            network = randomised(TorchvisionDenseNet(channels, outputs, blocks))
        assert isinstance(network, TorchvisionDenseNet)
        return network

    return make


@pytest.fixture(scope="session")
def old_names() -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return with_old_names


@pytest.fixture(scope="session")
def trained_looking() -> Callable[[nn.Module], nn.Module]:
    return randomised


@pytest.fixture(scope="session")
def blocks() -> tuple[int, ...]:
    """Layers of the small networks' dense blocks."""
    return BLOCKS


@pytest.fixture(scope="session")
def display() -> Tensor:
    """Two grey pictures ``[2, 1, 64, 64]`` of display values in [0, 1]."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(2, 1, 12, 12, generator=generator)
    return nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")


@pytest.fixture(scope="session")
def load(display: Tensor) -> Callable[..., LoadedCheckpoint]:
    """`load_checkpoint` for networks of ``BLOCKS``, with pictures that are small enough to be quick."""
    return functools.partial(load_checkpoint, blocks=BLOCKS, pictures=display)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Writes a payload with ``torch.save`` and returns the file."""

    def save(payload: object, name: str = "model.pth", *, zip_format: bool = True) -> Path:
        path = tmp_path / name
        torch.save(payload, path, _use_new_zipfile_serialization=zip_format)
        return path

    return save
