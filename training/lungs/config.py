"""What a localiser run was told to do, as data: it stands in the run record and decides every number."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from cxr_edge.errors import DatasetError, UsageError

__all__ = ["LungAugmentation", "LungTrainingConfig"]


@dataclass(frozen=True, slots=True)
class LungAugmentation:
    """Random changes of a thumbnail and its mask; shares are probabilities of an image in one epoch.

    Attributes:
        rotation: largest rotation, degrees, either way.
        shrink: largest relative reduction of the picture inside its frame; what enters is black or white.
        enlarge: largest relative enlargement.
        stretch: largest relative change of aspect, either way: thumbnails are squares of frames that are none.
        shift: largest translation as a share of the side, either way.
        mirror: share of left-right mirror images.
        border: share of pictures with collimated edges, which also hide what lies behind them from the mask.
        border_width: largest width of a collimated edge as a share of the side.
        gamma: largest change of the display curve's exponent, as a logarithm, either way.
        contrast: largest relative change of contrast about mid grey, either way.
        brightness: largest shift of display values in [0, 1], either way.
        noise: largest standard deviation of added noise, display values in [0, 1].
        inverted: share of pictures shown in the wrong polarity; their lungs stay where they are.
        turned: share of pictures turned by 90, 180 or 270 degrees, which teach "no lungs": the gate refuses those.
        away: share of close-ups of shoulder, abdomen or background, cut where a mask has (almost) no lung.
        texture: share of pictures replaced by noise without a chest.
    """

    rotation: float = 20.0
    shrink: float = 0.3
    enlarge: float = 0.15
    stretch: float = 0.12
    shift: float = 0.1
    mirror: float = 0.5
    border: float = 0.25
    border_width: float = 0.12
    gamma: float = 0.5
    contrast: float = 0.25
    brightness: float = 0.1
    noise: float = 0.03
    inverted: float = 0.12
    turned: float = 0.05
    away: float = 0.06
    texture: float = 0.03


@dataclass(frozen=True, slots=True)
class LungTrainingConfig:
    """Everything that decides a localiser's weights except images and masks.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: peak of the one-cycle schedule (Smith, arXiv 1803.09820), for AdamW.
        weight_decay: AdamW's decoupled weight decay.
        averaging: decay per step of the exponential moving average of weights; the average is what is kept.
        seed: of initialisation, order and augmentation.
        augmentation: random changes of the training images.

    Raises:
        UsageError: a value out of range.
    """

    epochs: int = 50
    batch_size: int = 16
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    averaging: float = 0.99
    seed: int = 2018
    augmentation: LungAugmentation = field(default_factory=LungAugmentation)

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"{self.epochs} epochs are no training; give at least 1")
        if self.batch_size < 2:
            raise UsageError(f"batch size {self.batch_size} is too small: batch normalisation needs at least 2 images")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"learning rate {self.learning_rate} must be a positive number")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed} must not be negative")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal configuration."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LungTrainingConfig:
        """The configuration that `to_json` wrote.

        Raises:
            DatasetError: unknown or missing keys, or values that are refused.
        """
        try:
            return cls(**{**value, "augmentation": LungAugmentation(**value["augmentation"])})
        except (TypeError, KeyError, UsageError) as error:
            raise DatasetError(f"the run's configuration cannot be read by this version: {error}") from error
