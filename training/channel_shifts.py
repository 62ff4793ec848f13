"""Random shifts of whole channels while a network trains, so that it learns to bear what INT8 will do to it.

Rounded weights and activations change a feature map in two ways. Noise from pixel to pixel averages out on the way to
the decision. A shift of a whole channel does not, and a densely connected network passes it on to every later layer:
when every channel of one of this project's models was shifted by a hundredth of its spread, its logits moved by 3.3 %
of theirs. A network that is trained under larger shifts than INT8 causes learns to depend on them less; what that
gained is told in docs/default-model.md.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from training.model import CheXNet

__all__ = ["with_channel_shifts"]


def with_channel_shifts(network: CheXNet, share: float) -> CheXNet:
    """The network, changed in place: each image's channels are shifted behind every convolution while it trains.

    Nothing changes in evaluation mode, and no weight or buffer is added.

    Args:
        network: whose convolutions, but the head's, get shifts.
        share: standard deviation of the shifts, each a constant over its map, as a share of the standard deviation of
            the channel over the batch.
    """

    def shifted(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        if not module.training:
            return output
        spread = output.detach().float().std(dim=(0, 2, 3), keepdim=True)
        drawn = torch.randn(len(output), output.shape[1], 1, 1, device=output.device)
        return output + (share * spread * drawn).to(output.dtype)

    for module in network.features.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(shifted)
    return network
