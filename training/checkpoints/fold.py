"""A stem for one grey channel that computes what the checkpoint's stem computed, and how exactly it does.

The checkpoint's channel c saw ``(v - mean_c) / std_c`` of the display value v; the new network sees
``x = (v - m) / s``, so ``v = s x + m`` and, for kernels W_c,

    sum_c W_c * (v - mean_c) / std_c  =  (sum_c W_c s / std_c) * x  +  sum over c and taps of W_c (m - mean_c) / std_c.

The first factor is the new kernel. conv0 has no bias, so the constant goes into norm0's running mean. That is exact
wherever the kernel lies inside the picture. At the border both networks pad with 0, which stands for v = mean_c in
the old one and for v = m in the new one: rows and columns 0, 1 and, at even sizes, the last differ there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from cxr_edge.errors import DatasetError, UsageError
from training.checkpoints.normalisation import Normalisation, network_input
from training.checkpoints.state import StateDict

__all__ = ["fold_stem", "logit_difference", "smooth_noise"]

_COARSE_SIZES = (4, 9, 21, 49)
_SMALLEST = 32  # DenseNet halves its input five times


def fold_stem(state: Mapping[str, Tensor], source: Normalisation, target: Normalisation) -> StateDict:
    """The state dict of a one-channel network that decides like the given one.

    Args:
        state: CheXNet's names; conv0 of C channels.
        source: what the checkpoint's C channels expect.
        target: the one-channel normalisation that the new network will be shown.
    """
    kernels = state["features.conv0.weight"]
    # In float64: a torchxrayvision stem is multiplied by 1024, a mean of 147 taps must not round on the way.
    mean, std = (torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1) for values in (source.mean, source.std))
    folded = (kernels.double() * (target.std[0] / std)).sum(dim=1, keepdim=True)
    constant = (kernels.double() * ((target.mean[0] - mean) / std)).sum(dim=(1, 2, 3))
    running_mean = state["features.norm0.running_mean"]
    return {
        **state,
        "features.conv0.weight": folded.to(kernels.dtype),
        "features.norm0.running_mean": (running_mean.double() - constant).to(running_mean.dtype),
    }


def logit_difference(
    original: nn.Module, original_input: Normalisation, folded: nn.Module, folded_input: Normalisation, display: Tensor
) -> float:
    """The largest absolute difference of any logit between two networks that are shown the same pictures.

    Args:
        original: network that returns logits first, in evaluation mode.
        original_input: how it wants its input.
        folded: the other network, likewise.
        folded_input: how that one wants its input.
        display: ``[N, 1, H, W]`` display values in [0, 1].

    Raises:
        UsageError: pictures of another shape or range.
        DatasetError: a network gives NaN or infinity.
    """
    if display.ndim != 4 or display.shape[1] != 1 or len(display) == 0 or min(display.shape[2:]) < _SMALLEST:
        raise UsageError(
            f"test pictures must be [N, 1, H, W] of at least {_SMALLEST} pixels a side; got {tuple(display.shape)}"
        )
    if not bool(((display >= 0) & (display <= 1)).all()):
        raise UsageError("test pictures must hold display values in [0, 1], black to white")
    with torch.no_grad():
        before = original(network_input(display, original_input))[0]
        after = folded(network_input(display, folded_input))[0]
    difference = float((before - after).abs().max())
    if not math.isfinite(difference):
        raise DatasetError("the checkpoint's network gives NaN or infinite logits for plain test pictures")
    return difference


def smooth_noise(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Seeded grey pictures with structure at several scales, ``[count, 1, height, width]`` display values in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(count, 1, height, width)
    for size in _COARSE_SIZES:
        coarse = torch.rand(count, 1, size, size, generator=generator)
        total += functional.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    return total / len(_COARSE_SIZES)
