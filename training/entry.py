"""What ``cxr-edge train`` asks for, turned into members, configuration and a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cxr_edge.errors import BundleError, UsageError
from cxr_edge.labels import LabelFile, LabelledImage, read_labels
from cxr_edge.preprocess.spec import PreprocessSpec
from training.config import Stage, TrainingConfig
from training.fit import Progress
from training.laterality import SIDE_COLUMNS
from training.localisers import NO_LOCALISERS, Localisers
from training.out_of_fold import write_out_of_fold
from training.run import Run, Watcher, train
from training.splits import Member, cross_validation, held_out_share, whole_set

__all__ = ["TrainingOptions", "train_from_options"]

DEFAULT_MARGIN = 5
"""Margin around the lungs, percent of their box: the pleura and the angles lie on its edge."""

ShowProgress = Callable[[str, float, int, float], None]
"""Called with a member's name, epochs done (a fraction), epochs in all, and the batch's loss."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """The options of the command, checked when they are used; see ``cxr-edge train --help``."""

    output: Path
    data: Path
    where: tuple[str, ...]
    task: str
    initial: Path | None
    tune: str
    cross_validate: bool
    release_fold: str | None
    only: tuple[str, ...]
    held_out: float
    stages: tuple[tuple[int, int], ...]
    batch_size: int
    learning_rate: float
    precision: str
    shuffle_labels: bool
    seed: int
    device: str | None
    variant: str = "full"
    margin: int | None = None
    lungs: Path | None = None
    not_found: str | None = None
    outside: float | None = None
    contrast: str = "none"
    laterality: float = 0.0
    channel_shifts: float = 0.0
    keep_initial: float = 0.0


def train_from_options(
    options: TrainingOptions,
    show: ShowProgress,
    stop_requested: Callable[[], bool],
    note: Callable[[str], None] = print,
) -> Run:
    """Train or resume the run that the options describe; a finished cross-validation gets its out-of-fold table.

    Args:
        options: what was asked.
        show: receives progress.
        stop_requested: asked between steps.
        note: told what a user should read, one line each.

    Raises:
        UsageError: options that contradict each other or are out of range.
        DatasetError: labels, folds or checkpoint cannot be used.
        KeyboardInterrupt: a stop was requested; the run can be resumed.
    """
    config, device = configuration(options), device_of(options)
    labels = read_labels(options.data, options.where)
    held_back = sum(image.split in ("val", "test") for image in labels.images)
    if held_back:
        note(f"note: {held_back} images of split val or test are among the data; --where split=train leaves them out")
    if options.shuffle_labels:
        labels = with_shuffled_labels(labels, options.seed)
    current = ""

    def started(member: Member, number: int, count: int) -> None:
        nonlocal current
        current = f"{member.name} ({number + 1} of {count})"

    def progressed(progress: Progress) -> None:
        show(current, progress.epoch + progress.step / progress.steps, progress.epochs, progress.loss)

    with denormals_flushed():
        run = train(
            options.output,
            labels,
            members_of(options, labels),
            config,
            release_fold=options.release_fold,
            initial=options.initial,
            device=device,
            watcher=Watcher(started, progressed, stop_requested, note),
            only=options.only,
            localisers=localisers_of(options, labels),
        )
    if options.cross_validate and options.task == "abnormality" and all(map(run.finished, run.members)):
        write_out_of_fold(run)
    return run


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Denormal numbers count as zero inside the block and no longer after it: the setting is the whole process's.

    Weights and moments that decay towards zero become denormal, which makes CPU arithmetic many times slower.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def configuration(options: TrainingOptions) -> TrainingConfig:
    """The configuration that the options ask for.

    Raises:
        UsageError: a value that is not among the choices.
    """
    if options.tune == "head" and options.initial is None:
        raise UsageError("--tune head needs --initial: a head on a random frozen backbone has nothing to learn from")
    if options.keep_initial and options.initial is None:
        raise UsageError("--keep-initial needs --initial: there is nothing in random weights to keep")
    choices = {"task": ("abnormality", "nih14"), "tune": ("all", "head"), "precision": ("bf16", "fp32")}
    for name, allowed in choices.items():
        if getattr(options, name) not in allowed:
            raise UsageError(f"--{name} {getattr(options, name)!r} is unknown; choose from {', '.join(allowed)}")
    size = options.stages[-1][0]
    return TrainingConfig(
        task=options.task,  # type: ignore[arg-type]
        tune=options.tune,  # type: ignore[arg-type]
        stages=tuple(Stage(*stage) for stage in options.stages),
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        precision=options.precision,  # type: ignore[arg-type]
        seed=options.seed,
        laterality=options.laterality,
        channel_shifts=options.channel_shifts,
        keep_initial=options.keep_initial,
        preprocess=preprocess_spec(options, size),
    )


def preprocess_spec(options: TrainingOptions, size: int) -> PreprocessSpec:
    """What the network is to be shown, at its final size in pixels.

    Raises:
        UsageError: a value that is not among the choices, or one that the variant has no use for.
    """
    needs_lungs = options.variant.startswith("lungs")
    if not needs_lungs:
        given = {"--margin": options.margin, "--lungs": options.lungs, "--not-found": options.not_found}
        for name in (name for name, value in given.items() if value is not None):
            raise UsageError(f"{name} goes with --variant lungs or lungs-masked, not with {options.variant}")
    elif options.lungs is None:
        raise UsageError(f"--variant {options.variant} needs --lungs: the folder of the localiser's cross-validation")
    if options.outside is not None and options.variant != "lungs-masked":
        raise UsageError(f"--outside goes with --variant lungs-masked, not with {options.variant}")
    lungs: dict[str, Any] = {
        "margin": DEFAULT_MARGIN if options.margin is None else options.margin,
        "not_found": options.not_found or "body",
        "outside": 0.0 if options.outside is None else options.outside,
    }
    try:
        return PreprocessSpec(
            height=size,
            width=size,
            variant=options.variant,  # type: ignore[arg-type]
            contrast=options.contrast,  # type: ignore[arg-type]
            **(lungs if needs_lungs else {}),
        )
    except BundleError as error:
        raise UsageError(f"this input cannot be trained on: {error}") from error


def localisers_of(options: TrainingOptions, labels: LabelFile) -> Localisers:
    """The lung localisers of the run; none where the network needs no lungs.

    Raises:
        DatasetError: an image without a fold, or a fold without a localiser that never saw it.
    """
    return NO_LOCALISERS if options.lungs is None else Localisers.open(options.lungs, labels.images)


def device_of(options: TrainingOptions) -> torch.device:
    """Where to train: what was asked for, else a GPU where there is one.

    Raises:
        UsageError: a device that torch does not know or this machine does not have.
    """
    if options.device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(options.device)
    except RuntimeError as error:
        raise UsageError(f"--device {options.device!r} is unknown; choose cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {options.device!r} is not supported; choose cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no usable GPU here; leave --device out to train on the CPU")
    return device


def members_of(options: TrainingOptions, labels: LabelFile) -> tuple[Member, ...]:
    """The models to train: one per fold, or one with a held-out share of the patients."""
    if options.cross_validate:
        return cross_validation(labels.images, options.release_fold)
    if options.release_fold is not None:
        raise UsageError("--release-fold goes with --cross-validate; without folds use --where to leave images out")
    if not 0 <= options.held_out < 1:
        raise UsageError(f"--held-out {options.held_out} is no share; give a number from 0 up to, not including, 1")
    if options.held_out == 0:
        return (whole_set(labels.images),)
    return (held_out_share(labels.images, options.held_out, options.seed),)


def with_shuffled_labels(labels: LabelFile, seed: int) -> LabelFile:
    """The same images with labels, findings and sides permuted: nothing is left to learn, so AUC must end near 0.5."""
    order = np.random.default_rng(seed).permutation(len(labels.images))

    def relabelled(image: LabelledImage, other: LabelledImage) -> LabelledImage:
        # The side is told of the findings: left behind, it would still teach where those of the image itself are.
        sides = {name: other.columns[name] for name in SIDE_COLUMNS if name in other.columns}
        columns = {**image.columns, **sides}
        return replace(image, label=other.label, finding_labels=other.finding_labels, columns=columns)

    images = tuple(relabelled(image, labels.images[i]) for image, i in zip(labels.images, order, strict=True))
    return replace(labels, images=images, sha256=f"{labels.sha256}-shuffled-{seed}")
