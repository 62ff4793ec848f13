"""What a training run was told to do, as data: it is stored in the run record and decides every number that follows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cxr_edge.errors import BundleError, DatasetError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec

__all__ = ["Augmentation", "Stage", "TrainingConfig"]

Task = Literal["abnormality", "nih14"]
Tune = Literal["all", "head"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of epochs at one input size; small early stages cost a third and regularise (progressive resizing).

    Attributes:
        size: input height and width, pixels; a multiple of 32, the network's stride.
        epochs: passes over the training images.
    """

    size: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random changes made to a radiograph between decoding and preprocessing.

    Attributes:
        rotation: largest rotation, degrees, either way.
        zoom: largest relative change of scale, either way.
        shift: largest translation as a share of the frame's side, either way.
        flip: probability of a left-right mirror image (CheXNet flips too).
        brightness: largest shift of the display window as a share of its span.
        contrast: largest relative change of the window's span.
    """

    rotation: float = 7.0
    zoom: float = 0.1
    shift: float = 0.05
    flip: float = 0.5
    brightness: float = 0.05
    contrast: float = 0.1


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Everything that decides a training run's result except the images themselves.

    Attributes:
        task: ``"abnormality"`` (one logit, column ``label``) or ``"nih14"`` (14 logits, column ``finding_labels``).
        tune: ``"all"`` layers, or the ``"head"`` alone on a frozen backbone as in Almuhayar et al. 2019.
        stages: input sizes and epochs, in order.
        batch_size: images a step.
        learning_rate: peak of the one-cycle schedule (Smith, arXiv 1803.09820), for AdamW.
        weight_decay: AdamW's decoupled weight decay.
        averaging: decay per step of the exponential moving average of weights; the average is what is kept.
        dropout: dropout rate before the head.
        balance: weight the classes so that both count alike in the loss.
        laterality: weight in the loss of the side that findings are on, beside the decision; 0 learns nothing of it.
        channel_shifts: random shifts of whole channels behind every convolution, as a share of each channel's standard
            deviation, so that the network bears INT8; 0 shifts nothing.
        keep_initial: share of the initial weights in what is kept, the rest being the trained ones.
        precision: ``"bf16"`` or ``"fp32"`` for the forward and backward passes; weights are always float32.
        seed: of initialisation, order, augmentation and dropout.
        augmentation: random changes of the training images.
        preprocess: the specification that the trained network expects; the last stage has its size.

    Raises:
        UsageError: a value out of range, or a last stage of another size than ``preprocess``.
    """

    task: Task = "abnormality"
    tune: Tune = "all"
    stages: tuple[Stage, ...] = (Stage(160, 20), Stage(224, 10))
    batch_size: int = 16
    learning_rate: float = 7e-4
    weight_decay: float = 0.05
    averaging: float = 0.99
    dropout: float = 0.0
    balance: bool = True
    laterality: float = 0.0
    channel_shifts: float = 0.0
    keep_initial: float = 0.0
    precision: Literal["bf16", "fp32"] = "bf16"
    seed: int = 2019
    augmentation: Augmentation = field(default_factory=Augmentation)
    preprocess: PreprocessSpec = field(default_factory=PreprocessSpec)

    def __post_init__(self) -> None:
        if not self.stages or any(stage.epochs < 1 or stage.size < 32 or stage.size % 32 for stage in self.stages):
            stages = ",".join(f"{stage.size}x{stage.epochs}" for stage in self.stages)
            raise UsageError(
                f"stages {stages or '(none)'} cannot be trained: give at least one, each with a size that is a "
                "multiple of 32 and one epoch or more"
            )
        if self.stages[-1].size != self.preprocess.height or self.preprocess.height != self.preprocess.width:
            raise UsageError(
                f"the last stage trains at {self.stages[-1].size} pixels but preprocessing gives "
                f"{self.preprocess.height}x{self.preprocess.width}; make them equal"
            )
        if self.batch_size < 2:
            raise UsageError(f"batch size {self.batch_size} is too small: batch normalisation needs at least 2 images")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"learning rate {self.learning_rate} must be a positive number")
        if not 0 <= self.laterality <= 10:
            raise UsageError(f"--laterality {self.laterality} must be a weight from 0 to 10")
        if self.laterality and (self.task != "abnormality" or self.tune != "all"):
            raise UsageError("--laterality teaches the features of the normal/abnormal task: it goes with --tune all")
        if self.laterality and min(stage.size for stage in self.stages) < 64:
            raise UsageError("--laterality needs stages of at least 64 pixels, whose map has a left and a right")
        if not 0 <= self.channel_shifts <= 1:
            raise UsageError(f"--channel-shifts {self.channel_shifts} must be a share from 0 to 1")
        if self.channel_shifts and self.tune != "all":
            raise UsageError("--channel-shifts teaches the features: it goes with --tune all")
        if not 0 <= self.keep_initial < 1:
            raise UsageError(f"--keep-initial {self.keep_initial} must be a share from 0 up to, not including, 1")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed} must not be negative")

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    def stage_of(self, epoch: int) -> Stage:
        """The stage that epoch number ``epoch`` (from 0) belongs to.

        Raises:
            UsageError: there is no such epoch.
        """
        end = 0
        for stage in self.stages:
            end += stage.epochs
            if 0 <= epoch < end:
                return stage
        raise UsageError(f"epoch {epoch} is outside the schedule of {self.epochs} epochs, counted from 0")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal configuration."""
        return {**asdict(self), "preprocess": self.preprocess.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TrainingConfig:
        """The configuration that `to_json` wrote.

        Raises:
            DatasetError: unknown or missing keys, or values that are refused.
        """
        try:
            return cls(
                **{
                    **value,
                    "stages": tuple(Stage(**stage) for stage in value["stages"]),
                    "augmentation": Augmentation(**value["augmentation"]),
                    "preprocess": PreprocessSpec.from_json(value["preprocess"]),
                }
            )
        except (TypeError, KeyError, BundleError, UsageError) as error:
            raise DatasetError(f"the run's configuration cannot be read by this version: {error}") from error
