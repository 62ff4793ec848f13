"""What the localiser minimises: cross-entropy of cells, plus one minus the Dice overlap of each image with lungs."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = ["dice_overlap", "mask_loss"]


def mask_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """The mean loss of a batch, a scalar.

    Args:
        logits: ``[N, 1, H, W]``.
        shares: how much of each cell is lung, ``[N, 1, H, W]``, 0 to 1. Images without any count in the cross-entropy
            alone: their Dice overlap is 0 whatever the network says.
    """
    cells = binary_cross_entropy_with_logits(logits, shares)
    has_lungs = (shares.sum(dim=(1, 2, 3)) > 0).to(logits.dtype)
    missed = (1 - dice_overlap(logits.sigmoid(), shares)) * has_lungs
    loss: Tensor = cells + missed.sum() / has_lungs.sum().clamp(min=1)
    return loss


def dice_overlap(found: Tensor, true: Tensor) -> Tensor:
    """Soft Dice overlap ``[N]`` of maps ``[N, 1, H, W]`` in 0 to 1, with squares below (Milletari 2016, 1606.04797)."""
    axes = (1, 2, 3)
    overlap: Tensor = 2 * (found * true).sum(axes) / ((found**2).sum(axes) + (true**2).sum(axes) + 1e-6)
    return overlap
