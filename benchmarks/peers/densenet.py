"""DenseNet-121 with one channel in plain PyTorch (Huang et al., CVPR 2017), so that a peer loads nothing but torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DenseNet121"]

GROWTH, BOTTLENECK, FIRST_CHANNELS = 32, 4, 64
BLOCKS = (6, 12, 24, 16)


class DenseLayer(nn.Module):
    """BN, ReLU, 1 x 1 convolution, BN, ReLU, 3 x 3 convolution, appended to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = BOTTLENECK * GROWTH
        self.layers = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, GROWTH, 3, padding=1, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """The input's channels and 32 more."""
        return torch.cat((features, self.layers(features)), 1)


class DenseNet121(nn.Module):
    """``[N, 1, 224, 224]`` to one logit ``[N, 1]``."""

    def __init__(self) -> None:
        super().__init__()
        channels = FIRST_CHANNELS
        layers: list[nn.Module] = [
            nn.Conv2d(1, channels, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        for number, depth in enumerate(BLOCKS):
            layers += [DenseLayer(channels + GROWTH * layer) for layer in range(depth)]
            channels += GROWTH * depth
            layers.append(nn.BatchNorm2d(channels))
            if number < len(BLOCKS) - 1:  # transition: half the channels, half the side
                layers += [nn.ReLU(inplace=True), nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
                channels //= 2
        self.features = nn.Sequential(*layers, nn.ReLU(inplace=True))
        self.classifier = nn.Linear(channels, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # keeps activations in range: denormal numbers would cost time
                nn.init.kaiming_normal_(module.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Logits by global average pooling and a linear layer."""
        logit: Tensor = self.classifier(self.features(image).mean((2, 3)))
        return logit
