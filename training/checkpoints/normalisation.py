"""What a network expects its input to be, in units of display values: 0 is black, 1 is white."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cxr_edge.errors import UsageError
from cxr_edge.preprocess.spec import PreprocessSpec

__all__ = ["Normalisation", "network_input"]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Input channel c is ``(v - mean[c]) / std[c]`` of the grey display value v in [0, 1].

    Attributes:
        mean, std: one number a channel, in display units; a single one stands for every channel.

    Raises:
        UsageError: lengths differ, or a value is not finite, or a standard deviation is not positive.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise UsageError(f"a normalisation needs as many means as stds; got {len(self.mean)} and {len(self.std)}")
        if not all(math.isfinite(value) for value in self.mean + self.std) or min(self.std) <= 0:
            raise UsageError(f"normalisation mean {self.mean}, std {self.std} must be finite, with every std above 0")

    @classmethod
    def of(cls, spec: PreprocessSpec) -> Normalisation:
        """The one-channel normalisation that preprocessing applies."""
        return cls((spec.mean,), (spec.std,))

    def for_channels(self, channels: int) -> Normalisation:
        """The same normalisation with one mean and std for each of ``channels`` channels.

        Raises:
            UsageError: it has neither one value nor ``channels`` values.
        """
        if len(self.mean) == channels:
            return self
        if len(self.mean) != 1:
            raise UsageError(f"a normalisation of {len(self.mean)} channels does not fit a network of {channels}")
        return Normalisation(self.mean * channels, self.std * channels)


def network_input(display: Tensor, normalisation: Normalisation) -> Tensor:
    """What a network with this normalisation is shown, ``[N, C, H, W]``: the grey picture repeated in each channel.

    Args:
        display: ``[N, 1, H, W]`` display values in [0, 1].
        normalisation: of C channels.
    """
    mean = torch.tensor(normalisation.mean, dtype=display.dtype).view(1, -1, 1, 1)
    std = torch.tensor(normalisation.std, dtype=display.dtype).view(1, -1, 1, 1)
    return (display - mean) / std
