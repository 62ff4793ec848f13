"""The localiser's network: a small encoder and decoder with sums as skip connections (after U-Net, arXiv 1505.04597).

It works at 64 x 64 and coarser, where convolutions are cheap, and enlarges its last map: masks are smooth there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["WIDTHS", "LungNet", "seeded_network"]

WIDTHS = (16, 32, 32, 48)
"""Channels at 64, 32, 16 and 8 cells a side; multiples of 16, which a 512-bit register of float32 holds."""


class LungNet(nn.Module):
    """Thumbnails ``[N, 1, 128, 128]`` to logits ``[N, 1, 128, 128]`` that a cell is lung.

    Args:
        widths: channels at 64, 32, 16 and 8 cells a side.
    """

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        fine, middle, coarse, deep = widths
        self.stem = block(1, fine, kernel=5, stride=2)
        self.down32 = block(fine, middle, stride=2)
        self.down16 = block(middle, coarse, stride=2)
        self.mix16 = block(coarse, coarse)
        self.down8 = block(coarse, deep, stride=2)
        self.mix8a = block(deep, deep)
        self.mix8b = block(deep, deep)
        self.narrow16 = nn.Conv2d(deep, coarse, 1)
        self.up16 = block(coarse, coarse)
        self.narrow32 = nn.Conv2d(coarse, middle, 1)
        self.up32 = block(middle, middle)
        self.narrow64 = nn.Conv2d(middle, fine, 1)
        self.up64 = block(fine, fine)
        self.head = nn.Conv2d(fine, 1, 1)
        self.widths = widths
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[N, 1, 128, 128]``."""
        at64 = self.stem(image)
        at32 = self.down32(at64)
        at16 = self.mix16(self.down16(at32))
        at8 = self.mix8b(self.mix8a(self.down8(at16)))
        x = self.up16(at16 + doubled(self.narrow16(at8)))
        x = self.up32(at32 + doubled(self.narrow32(x)))
        x = self.up64(at64 + doubled(self.narrow64(x)))
        logits: Tensor = nn.functional.interpolate(self.head(x), scale_factor=2.0, mode="bilinear")
        return logits


def block(channels: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, rectifier."""
    return nn.Sequential(
        nn.Conv2d(channels, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def doubled(x: Tensor) -> Tensor:
    """Twice the side, each value repeated: the convolution that follows smooths."""
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


def seeded_network(seed: int, widths: tuple[int, int, int, int] = WIDTHS) -> LungNet:
    """A network whose random weights are decided by the seed and leave torch's global random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LungNet(widths)
