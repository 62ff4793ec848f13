"""CheXNet's network, DenseNet-121, with a head whose class-activation map is the decision.

DenseNet-121: Huang et al., CVPR 2017; CheXNet: Rajpurkar et al., arXiv 1711.05225. The backbone is MONAI's. The head
is a 1x1 convolution on the last feature map: global average pooling and a linear layer commute, so the mean of the
map *is* the logit, and the map is an exact decomposition of it (Zhou et al., CVPR 2016).
"""

from __future__ import annotations

import torch
from monai.networks.nets.densenet import DenseNet
from torch import Tensor, nn

__all__ = ["NIH_LABELS", "CheXNet", "densenet121_features"]

NIH_LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""The 14 findings of ChestX-ray14 in CheXNet's order (Wang et al., CVPR 2017)."""

BLOCKS_121 = (6, 12, 24, 16)


class CheXNet(nn.Module):
    """DenseNet-121 with a 1x1-convolution head.

    Args:
        channels: input channels, 1 (the product) or 3 (an unfolded checkpoint, kept as the reference).
        outputs: K, 1 for normal/abnormal or 14 for the NIH findings.
        blocks: layers of each dense block; anything but DenseNet-121's is for tests.
        dropout: dropout rate on the last feature map while training.
    """

    def __init__(
        self, channels: int = 1, outputs: int = 1, blocks: tuple[int, ...] = BLOCKS_121, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.features = densenet121_features(channels, blocks)
        norm5 = self.features.get_submodule("norm5")
        assert isinstance(norm5, nn.BatchNorm2d)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(norm5.num_features, outputs, kernel_size=1)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    @property
    def channels(self) -> int:
        """Input channels."""
        stem = self.features.get_submodule("conv0")
        assert isinstance(stem, nn.Conv2d)
        return stem.in_channels

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return self.head.out_channels

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the map that they are the mean of.

        Args:
            image: ``[N, channels, H, W]``, normalised by preprocessing.

        Returns:
            ``logit`` ``[N, K]`` and ``cam`` ``[N, K, h, w]`` (h = w = 7 at 224 x 224); no sigmoid.
        """
        cam = self.head(self.dropout(torch.relu(self.features(image))))
        return cam.mean(dim=(2, 3)), cam


def densenet121_features(channels: int, blocks: tuple[int, ...] = BLOCKS_121) -> nn.Sequential:
    """MONAI's DenseNet-121 up to and including norm5, with the layer names that torchvision's checkpoints use."""
    network = DenseNet(spatial_dims=2, in_channels=channels, out_channels=1, block_config=blocks)
    features: nn.Sequential = network.features
    return features
