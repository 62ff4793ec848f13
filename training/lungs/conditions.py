"""Held-out pictures as devices may send them: turned, collimated, in the wrong polarity, or without lungs at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from training.lungs.augment import AWAY_LUNG, Placement, close_up, moved, texture

__all__ = ["WITHOUT_LUNGS", "WITH_LUNGS", "Condition"]

Picture = NDArray[np.float32]
Condition = Callable[[Picture, Picture, np.random.Generator], tuple[Picture, Picture] | None]
"""From thumbnail, mask shares (``[128, 128]`` each) and randomness to the changed pair; None where it can't be made."""


def placed(placement: Placement) -> Condition:
    """The picture put somewhere else in its frame."""

    def changed(image: Picture, share: Picture, random: np.random.Generator) -> tuple[Picture, Picture]:
        images, shares = moved(torch.from_numpy(image)[None, None], torch.from_numpy(share)[None, None], [placement])
        return images[0, 0].numpy(), shares[0, 0].numpy()

    return changed


def inverted(image: Picture, share: Picture, random: np.random.Generator) -> tuple[Picture, Picture]:
    """The picture in the wrong polarity, as a MONOCHROME1 frame without its tag shows."""
    return -image, share


def turned(quarters: int) -> Condition:
    """The picture turned counterclockwise by quarters of a circle: no position in which a chest is read."""

    def changed(image: Picture, share: Picture, random: np.random.Generator) -> tuple[Picture, Picture]:
        return np.rot90(image, quarters).copy(), np.zeros_like(share)

    return changed


def away(image: Picture, share: Picture, random: np.random.Generator) -> tuple[Picture, Picture] | None:
    """A close-up of shoulder, abdomen or background; None where no part without lung was hit."""
    shown, lungs = placed(close_up(share, random))(image, share, random) or (image, share)
    return (shown, np.zeros_like(share)) if lungs.mean() < AWAY_LUNG else None


def noise(image: Picture, share: Picture, random: np.random.Generator) -> tuple[Picture, Picture]:
    """Noise on a random scale with a slope of brightness."""
    return texture(len(image), random), np.zeros_like(share)


def constant(image: Picture, share: Picture, random: np.random.Generator) -> tuple[Picture, Picture]:
    """One grey level."""
    return np.full_like(image, random.uniform(-1, 1)), np.zeros_like(share)


WITH_LUNGS: dict[str, Condition] = {
    "as it is": placed(Placement()),
    "rotated by -15 degrees": placed(Placement(angle=-15)),
    "rotated by 15 degrees": placed(Placement(angle=15)),
    "black border of 12 % on every side": placed(Placement(scale=0.76)),
    "white border of 12 % on every side": placed(Placement(scale=0.76, fill=1.0)),
    "mirrored": placed(Placement(mirror=True)),
    "wrong polarity": inverted,
}
"""Conditions under which the lungs should be found, by the name they have in the evaluation."""

WITHOUT_LUNGS: dict[str, Condition] = {
    "upside down": turned(2),
    "turned by 90 degrees": turned(1),
    "turned by 270 degrees": turned(3),
    "close-up without lungs": away,
    "noise": noise,
    "one grey level": constant,
}
"""Conditions under which none should be found."""
