"""A head with one hidden layer, for the reproduction alone.

A rectifier between pooling and logit breaks what the product rests on: the logit is no longer the mean of a map, so
there is no exact heatmap. Such networks are therefore never written as checkpoints, which is what export starts from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.model import CheXNet

__all__ = ["HIDDEN_UNITS", "HiddenHead", "with_hidden_head"]

HIDDEN_UNITS = 64


class HiddenHead(nn.Module):
    """Global average pooling, a rectified linear layer, a linear layer.

    Args:
        channels: of the last feature map.
        outputs: logits.
    """

    def __init__(self, channels: int, outputs: int = 1) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels, HIDDEN_UNITS)
        self.output = nn.Linear(HIDDEN_UNITS, outputs)
        self.out_channels = outputs

    def forward(self, features: Tensor) -> Tensor:
        """Logits as a map of a single position, ``[N, outputs, 1, 1]``, whose mean they are.

        Args:
            features: ``[N, channels, h, w]``, rectified.
        """
        logit: Tensor = self.output(torch.relu(self.hidden(features.mean(dim=(2, 3)))))
        return logit[:, :, None, None]


def with_hidden_head(network: CheXNet, seed: int) -> CheXNet:
    """The same network with a fresh hidden head, changed in place; torch's global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network.head = HiddenHead(network.head.in_channels, network.outputs)  # type: ignore[assignment]
    return network
