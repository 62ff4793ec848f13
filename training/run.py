"""A training run: its directory, its record, its members one after another, resumable at any point.

``RUN/run.json`` says what was asked and on what; ``RUN/<member>/`` holds ``history.jsonl``, ``model.pt`` (averaged
weights) and ``predictions.csv`` (logits of the held-out images); ``RUN/curves.png`` shows how it went.
"""

from __future__ import annotations

import copy
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import cxr_edge
from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.data_use import UNKNOWN_ORIGIN, DataUse, Footprint, footprint, image_sha256
from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import LabelFile
from training.checkpoints import save_checkpoint
from training.config import TrainingConfig
from training.curves import draw_curves
from training.dataset import RadiographDataset, targets_of
from training.fit import Fitting, Progress, fit, predict
from training.held_out import PREDICTIONS, write_predictions
from training.laterality import sides_of
from training.localisers import NO_LOCALISERS, Localisers
from training.model import NIH_LABELS, CheXNet
from training.splits import Member
from training.starting_points import initial_network, starting_point, starting_points

__all__ = ["Run", "Watcher", "train"]

SCHEMA = 1
"""Version of ``run.json``; another one is refused."""

LOCALISERS = "lungs"
"""Folder of a run with the lung localisers that found its boxes, laid out as their own cross-validation."""

WATCH_EVERY = 5
"""Held-out images are predicted after every so many epochs for the curves; nothing is decided by it."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """How a run reports and is stopped.

    Attributes:
        member: called when a member starts, with its number and how many there are.
        progress: called after every step.
        stop_requested: asked between steps.
        note: called with what a user should read, one line each, such as how a checkpoint was adapted.
    """

    member: Callable[[Member, int, int], None]
    progress: Callable[[Progress], None]
    stop_requested: Callable[[], bool]
    note: Callable[[str], None] = lambda text: None


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory and what its record says.

    Attributes:
        directory: the run's folder.
        config: how it trained.
        members: member name to the fold it predicts (None for a held-out share or the whole set).
        release_fold: the fold that no other member saw, or None.
        where: the filters that chose the images from the label file.
        record: the whole of ``run.json``.
    """

    directory: Path
    config: TrainingConfig
    members: dict[str, str | None]
    release_fold: str | None
    where: tuple[str, ...]
    record: dict[str, Any]

    @classmethod
    def open(cls, directory: Path) -> Run:
        """The run in a folder.

        Raises:
            DatasetError: no ``run.json``, or one that this version cannot read.
        """
        try:
            record = json.loads((directory / "run.json").read_text())
            if record["schema"] != SCHEMA:
                raise DatasetError(f"{directory} has a run record of schema {record['schema']!r}, not {SCHEMA}")
            return cls(
                directory=directory,
                config=TrainingConfig.from_json(record["config"]),
                members=record["members"],
                release_fold=record["release_fold"],
                where=tuple(record.get("where", ())),
                record=record,
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{directory} is no training run of this version ({type(error).__name__}: {error})"
            ) from error

    def model_path(self, member: str) -> Path:
        """Where a member's averaged weights are."""
        return self.directory / member / "model.pt"

    @property
    def localisers_path(self) -> Path:
        """Where the lung localisers are that found the run's boxes; a folder that is not there where none did."""
        return self.directory / LOCALISERS

    def finished(self, member: str) -> bool:
        """Whether a member was trained to the end and predicted its held-out images."""
        return (self.directory / member / PREDICTIONS).exists()


def train(
    directory: Path,
    labels: LabelFile,
    members: Sequence[Member],
    config: TrainingConfig,
    *,
    release_fold: str | None,
    initial: Path | None,
    device: torch.device,
    watcher: Watcher,
    only: Sequence[str] = (),
    localisers: Localisers = NO_LOCALISERS,
) -> Run:
    """Train every member that isn't finished yet; calling it again with the same arguments resumes.

    Args:
        directory: the run's folder; made, or resumed when it holds the same run.
        labels: the label file that the members' images came from.
        members: whom to train on and whom to predict.
        config: how.
        release_fold: recorded for export; see `training.splits`.
        initial: checkpoint to start from (any format of `training.checkpoints`); or the folder of an earlier
            cross-validation, whose member of the same name each member goes on from, so that none gets to see what it
            predicts; or None for random weights.
        device: where to compute.
        watcher: progress and interruption.
        only: names of the members to train now; the others can follow later in the same folder. Empty means all.
        localisers: find the lungs where the configuration wants them; kept in the run, for its bundle needs one.

    Raises:
        UsageError: a name in ``only`` that the run doesn't have.
        DatasetError: the folder holds another run, or images or checkpoint cannot be used.
        OutputError: the folder cannot be written.
        KeyboardInterrupt: the watcher asked to stop; everything so far is saved.
    """
    record = {
        "schema": SCHEMA,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "config": config.to_json(),
        "labels_sha256": labels.sha256,
        "where": list(labels.where),
        "images": {member.name: [len(member.training), len(member.held_out)] for member in members},
        "members": {member.name: member.fold for member in members},
        "release_fold": release_fold,
        "initial": str(initial) if initial else None,
        "initial_sha256": [image_sha256(point) for point in starting_points(initial, members) if point],
        "lungs_sha256": [localisers.sha256[fold] for fold in sorted(localisers.sha256)],
        "datasets": datasets_seen(labels, initial),
        "outputs": ["abnormal"] if config.task == "abnormality" else list(NIH_LABELS),
        "versions": versions(),
        "device": str(device),
    }
    unknown = set(only) - {member.name for member in members}
    if unknown:
        names = ", ".join(member.name for member in members)
        raise UsageError(f"the run has no member {', '.join(sorted(unknown))}; it has {names}")
    # Before the folder is made: what fails here must not leave a record that the corrected command contradicts.
    networks = {point: initial_network(config, point, watcher.note) for point in starting_points(initial, members)}
    for member in members:
        targets_of(member.training + member.held_out, config.task)
        if config.laterality:
            sides_of(member.training)
    run = started(directory, record)
    localisers.keep(directory / LOCALISERS)
    for number, member in enumerate(members):
        if (not only or member.name in only) and not run.finished(member.name):
            watcher.member(member, number, len(members))
            with output_errors(directory / member.name):
                (directory / member.name).mkdir(exist_ok=True)
            checkpoint = starting_point(initial, member)
            record_data_use(run, member, labels, checkpoint)
            train_member(run, member, copy.deepcopy(networks[checkpoint]), device, watcher, localisers)
    draw_curves(directory)
    return run


def started(directory: Path, record: dict[str, Any]) -> Run:
    """The run in ``directory``, begun now or resumed when what it was asked is the same."""
    path = directory / "run.json"
    if path.exists():
        before = Run.open(directory)
        # A record of before an option existed was made with that option's default.
        told = {**before.record, "config": before.config.to_json()}
        changed = differing(json.loads(json.dumps(told)), json.loads(json.dumps(record)))
        if changed:
            raise DatasetError(
                f"{directory} holds another run (differs in {', '.join(changed)}); choose a new folder, or repeat the "
                "first command to resume it"
            )
        return before
    with output_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
    return Run.open(directory)


def differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What a run was asked and two records tell differently, fields of the configuration by their own name."""
    told = ("labels_sha256", "where", "images", "members", "release_fold", "initial", "initial_sha256", "lungs_sha256")
    fields = [key for key in now["config"] if before["config"].get(key) != now["config"][key]]
    return [*fields, *(key for key in told if before.get(key, []) != now[key])]


def train_member(
    run: Run,
    member: Member,
    network: CheXNet,
    device: torch.device,
    watcher: Watcher,
    localisers: Localisers = NO_LOCALISERS,
) -> None:
    """Fit one member from initial weights, then write what came out and its held-out predictions."""
    config = run.config
    directory = run.directory / member.name
    training = RadiographDataset(
        member.training,
        targets_of(member.training, config.task),
        config.preprocess,
        config.augmentation,
        config.seed,
        localisers,
        sides_of(member.training) if config.laterality else None,
    )
    held_out = RadiographDataset(
        member.held_out,
        targets_of(member.held_out, config.task) if member.held_out else empty(),
        config.preprocess,
        localisers=localisers,
    )
    fitting = Fitting(network, config, training, device)

    def watched(epoch: int) -> dict[str, float]:
        # The release fold's predictions are written once, at the end, for export; no curve shows them on the way.
        is_release = run.release_fold is not None and member.fold == run.release_fold
        if not member.held_out or is_release:
            return {}
        if (epoch + 1) % WATCH_EVERY and epoch + 1 < config.epochs:
            return {}
        logits = predict(fitting.averaged.module, held_out, config.preprocess.height, device)
        return {"held_out_loss": mean_loss(logits[:, : fitting.outputs], held_out.targets)}

    fit(
        fitting,
        directory,
        on_progress=watcher.progress,
        on_epoch=watched,
        stop_requested=watcher.stop_requested,
    )
    result = fitting.result
    save_checkpoint(
        run.model_path(member.name),
        result,
        labels=tuple(run.record["outputs"]),
        preprocess=config.preprocess,
    )
    logits = predict(result, held_out, config.preprocess.height, device) if member.held_out else empty()
    write_predictions(directory / PREDICTIONS, member.held_out, logits, held_out.targets, run.record["outputs"])
    (directory / "state.pt").unlink()


def datasets_seen(labels: LabelFile, initial: Path | None) -> list[str]:
    """Names of the data sets that the run's models see, those of a checkpoint of an earlier run included."""
    names = {image.dataset for image in labels.images}
    earlier = initial if initial is None or initial.is_dir() else initial.parent.parent
    if earlier is not None and (earlier / "run.json").exists():
        names |= set(Run.open(earlier).record.get("datasets", ()))
    return sorted(names)


def record_data_use(run: Run, member: Member, labels: LabelFile, initial: Path | None) -> None:
    """Write ``data_use.json`` beside the member's weights: what they, and the weights they start from, have seen.

    A checkpoint of a run of ours has its own record beside it; of any other nothing is known, and that is recorded.
    """
    seen = DataUse().with_role("train", footprint(replace(labels, images=member.training)))
    if initial is not None:
        before = initial.parent / "data_use.json"
        if before.exists():
            for role, part in DataUse.from_json(json.loads(before.read_text())).roles.items():
                seen = seen.with_role(UNKNOWN_ORIGIN if role == UNKNOWN_ORIGIN else "pretrain", part)
        else:
            seen = seen.with_role(UNKNOWN_ORIGIN, Footprint(frozenset(), frozenset()))
    write_atomically(run.directory / member.name / "data_use.json", json.dumps(seen.to_json()).encode())


def empty() -> NDArray[np.float32]:
    """No rows: the targets and logits of a member without held-out images."""
    return np.zeros((0, 1), np.float32)


def mean_loss(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> float:
    """Mean cross-entropy of logits ``[N, K]`` against targets ``[N, K]``, in nats."""
    return float(np.mean(np.logaddexp(0.0, logits) - targets * logits))


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return {
        "cxr_edge": cxr_edge.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
