"""Random changes of a batch of thumbnails and masks: what other devices, positions and collimators would send.

Every change is decided by seed, epoch and image alone, so that any step can be made again after a kill.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.dataset import SampleKey
from training.lungs.config import LungAugmentation

__all__ = ["Placement", "augmented", "moved"]

AWAY_TRIES = 12
"""Random close-ups looked at; on a frame filled by lungs all may hold some, and the last is taken as it is."""

AWAY_LUNG = 0.02
"""A close-up with less lung than this share teaches "no lungs"."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the picture goes in its frame: a similarity with a change of aspect, about the centre.

    Attributes:
        angle: rotation, degrees, counterclockwise as displayed.
        scale: of the picture in its frame; below 1 it shrinks and its surroundings are filled.
        stretch: ratio of horizontal to vertical scale.
        right, down: translation as a share of the side.
        mirror: left and right exchanged.
        fill: display value, -1 or 1, of what enters from outside.
    """

    angle: float = 0.0
    scale: float = 1.0
    stretch: float = 1.0
    right: float = 0.0
    down: float = 0.0
    mirror: bool = False
    fill: float = -1.0

    def matrix(self) -> list[list[float]]:
        """The map from output to input positions that `torch.nn.functional.affine_grid` wants, in [-1, 1]."""
        turn = math.radians(self.angle)
        across = (-1.0 if self.mirror else 1.0) / (self.scale * math.sqrt(self.stretch))
        along = math.sqrt(self.stretch) / self.scale
        rows = [
            [across * math.cos(turn), across * -math.sin(turn)],
            [along * math.sin(turn), along * math.cos(turn)],
        ]
        return [[a, b, -2 * (a * self.right + b * self.down)] for a, b in rows]


def moved(images: Tensor, shares: Tensor, placements: list[Placement]) -> tuple[Tensor, Tensor]:
    """Images and masks ``[N, 1, H, W]`` put where the placements say, by bilinear interpolation."""
    matrices = torch.tensor([placement.matrix() for placement in placements], dtype=torch.float32)
    grid = torch.nn.functional.affine_grid(matrices, list(images.shape), align_corners=False)
    fill = torch.tensor([placement.fill for placement in placements], dtype=torch.float32)[:, None, None, None]
    both = torch.cat([images - fill, shares], dim=1)
    both = torch.nn.functional.grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return both[:, :1] + fill, both[:, 1:]


def augmented(
    images: Tensor, shares: Tensor, keys: list[SampleKey], augmentation: LungAugmentation, seed: int
) -> tuple[Tensor, Tensor]:
    """A randomly changed copy of a batch.

    Args:
        images: thumbnails ``[N, 1, 128, 128]``, about [-1, 1].
        shares: masks ``[N, 1, 128, 128]``, 0 to 1.
        keys: which image in which epoch each one is.
        augmentation: how far each change may go.
        seed: another seed changes otherwise.
    """
    generators = [np.random.default_rng((seed, key.epoch, key.index)) for key in keys]
    placements = [
        drawn_placement(share[0].numpy(), augmentation, random)
        for share, random in zip(shares, generators, strict=True)
    ]
    images, shares = moved(images, shares, placements)
    for image, share, random in zip(images, shares, generators, strict=True):
        change(image[0].numpy(), share[0].numpy(), augmentation, random)
    return images, shares


def drawn_placement(
    share: NDArray[np.float32], augmentation: LungAugmentation, random: np.random.Generator
) -> Placement:
    """A random placement; a few times a close-up where the mask ``[H, W]`` has no lung."""
    if random.random() < augmentation.away:
        return close_up(share, random)
    reach = augmentation.shift
    return Placement(
        angle=random.uniform(-augmentation.rotation, augmentation.rotation),
        scale=1.0 + random.uniform(-augmentation.shrink, augmentation.enlarge),
        stretch=math.exp(random.uniform(-augmentation.stretch, augmentation.stretch)),
        right=random.uniform(-reach, reach),
        down=random.uniform(-reach, reach),
        mirror=random.random() < augmentation.mirror,
        fill=1.0 if random.random() < 0.2 else -1.0,
    )


def close_up(share: NDArray[np.float32], random: np.random.Generator) -> Placement:
    """A placement that shows a part of the picture with (almost) no lung, enlarged 2.5 to 5 times."""
    side = len(share)
    for _ in range(AWAY_TRIES):
        scale = random.uniform(2.5, 5.0)
        width = round(side / scale)
        top, left = (int(start) for start in random.integers(0, side - width, 2))
        if share[top : top + width, left : left + width].mean() < AWAY_LUNG:
            break
    centre_right, centre_down = (left + width / 2) / side - 0.5, (top + width / 2) / side - 0.5
    return Placement(scale=scale, right=-centre_right * scale, down=-centre_down * scale)


def change(
    image: NDArray[np.float32],
    share: NDArray[np.float32],
    augmentation: LungAugmentation,
    random: np.random.Generator,
) -> None:
    """Change one image and its mask ``[H, W]`` in place: orientation, collimation, display curve, polarity, noise."""
    if random.random() < augmentation.turned:
        image[...] = np.rot90(image, int(random.integers(1, 4))).copy()
        share[...] = 0
    if random.random() < augmentation.texture:
        image[...] = texture(len(image), random)
        share[...] = 0
    if random.random() < augmentation.border:
        collimate(image, share, augmentation.border_width, random)
    image[...] = redisplayed(image, augmentation, random)
    if random.random() < augmentation.inverted:
        image *= -1


def collimate(
    image: NDArray[np.float32], share: NDArray[np.float32], width: float, random: np.random.Generator
) -> None:
    """Hide up to ``width`` of the side along each edge behind black, or a few times white; hidden lung is no lung."""
    value = 1.0 if random.random() < 0.2 else -1.0
    side = len(image)
    for _ in range(4):
        covered = round(side * random.uniform(0, width)) if random.random() < 0.6 else 0
        image[:covered] = value
        share[:covered] = 0
        image, share = np.rot90(image), np.rot90(share)


def texture(side: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Noise on a random scale, ``[side, side]`` in [-1, 1]: blank frames and test patterns."""
    coarse = side // int(2 ** random.integers(0, 6))
    field = np.kron(random.normal(size=(coarse, coarse)), np.ones((side // coarse,) * 2))
    slope = np.linspace(-1, 1, side) * random.normal()
    picture = field * random.uniform(0, 0.5) + slope[:, None] * random.normal() + random.uniform(-1, 1)
    clipped: NDArray[np.float32] = np.clip(picture, -1, 1).astype(np.float32)
    return clipped


def redisplayed(
    image: NDArray[np.float32], augmentation: LungAugmentation, random: np.random.Generator
) -> NDArray[np.float32]:
    """The image ``[H, W]`` through another display curve and window, with noise, in [-1, 1]."""
    shown = np.clip((image + 1) / 2, 0, 1) ** math.exp(random.uniform(-augmentation.gamma, augmentation.gamma))
    gain = math.exp(random.uniform(-augmentation.contrast, augmentation.contrast))
    shown = (shown - 0.5) * gain + 0.5 + random.uniform(-augmentation.brightness, augmentation.brightness)
    shown = shown + random.normal(size=shown.shape) * random.uniform(0, augmentation.noise)
    result: NDArray[np.float32] = (np.clip(shown, 0, 1) * 2 - 1).astype(np.float32)
    return result
