"""A localiser run: its directory, its record, its members one after another, resumable at any point.

``RUN/run.json`` says what was asked and on what; ``RUN/fold-K/`` holds ``history.jsonl``, ``data_use.json``,
``model.pt`` (averaged weights) and ``lungs.onnx``. Localiser ``fold-K`` never saw fold K, and none ever saw the release
fold.
"""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cxr_edge
from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.data_use import DataUse, footprint
from cxr_edge.errors import CheckFailedError, DatasetError, UsageError
from cxr_edge.labels import LabelFile, assert_patient_disjoint
from training.fit import Progress
from training.lungs.config import LungTrainingConfig
from training.lungs.examples import LungExamples, masked
from training.lungs.fit import LungFitting, fit_lungs
from training.lungs.network import LungNet, seeded_network
from training.lungs.onnx_file import build_onnx, largest_difference
from training.splits import Member, cross_validation

__all__ = ["LungWatcher", "members_of", "model_path", "train_lungs"]

SCHEMA = 1
"""Version of ``run.json``; another one is refused."""

LARGEST_DIFFERENCE = 1e-3
"""Logits of the exported file may differ from torch's by this much; float32 sums in another order give 1e-5."""


@dataclass(frozen=True, slots=True)
class LungWatcher:
    """How a run reports and is stopped.

    Attributes:
        reading: called while images are read, with how many are and how many there are.
        progress: called after every step with the member's name.
        stop_requested: asked between steps.
        note: called with what a user should read, one line each.
    """

    reading: Callable[[int, int], None]
    progress: Callable[[str, Progress], None]
    stop_requested: Callable[[], bool]
    note: Callable[[str], None]


def members_of(labels: LabelFile, release_fold: str) -> tuple[Member, ...]:
    """One member per fold of the images that have a mask.

    Raises:
        DatasetError: no masks, no folds, or a patient in several folds.
        UsageError: a release fold that does not occur.
    """
    assert_patient_disjoint(labels, "fold")
    return cross_validation(masked(labels.images), release_fold)


def model_path(directory: Path, member: str) -> Path:
    """Where a run keeps a member's exported localiser."""
    return directory / member / "lungs.onnx"


def train_lungs(
    directory: Path,
    labels: LabelFile,
    config: LungTrainingConfig,
    *,
    release_fold: str,
    watcher: LungWatcher,
    only: Sequence[str] = (),
) -> LungExamples:
    """Train and export every member that isn't finished yet, and return the examples; the same call again resumes.

    Args:
        directory: the run's folder; made, or resumed when it holds the same run.
        labels: images, of which those with a mask are used.
        config: how.
        release_fold: the fold that is seen by no localiser.
        watcher: progress and interruption.
        only: names of the members to train now; empty means all.

    Raises:
        UsageError: a name in ``only`` that the run doesn't have.
        DatasetError: the folder holds another run, or images, masks or folds cannot be used.
        OutputError: the folder cannot be written.
        CheckFailedError: an exported file computes something else than torch does.
        KeyboardInterrupt: the watcher asked to stop; everything so far is saved.
    """
    members = members_of(labels, release_fold)
    unknown = set(only) - {member.name for member in members}
    if unknown:
        names = ", ".join(member.name for member in members)
        raise UsageError(f"the run has no member {', '.join(sorted(unknown))}; it has {names}")
    images = masked(labels.images)
    watcher.note(f"{len(images)} images with masks; {len(labels.images) - len(images)} without one are left out")
    examples = LungExamples.read(images, watcher.reading)
    begin(directory, run_record(labels, config, release_fold, members, examples))
    for member in members:
        if (not only or member.name in only) and not model_path(directory, member.name).exists():
            train_member(directory, member, labels, config, examples, watcher)
    return examples


def run_record(
    labels: LabelFile,
    config: LungTrainingConfig,
    release_fold: str,
    members: Sequence[Member],
    examples: LungExamples,
) -> dict[str, Any]:
    """What ``run.json`` holds."""
    return {
        "schema": SCHEMA,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "config": config.to_json(),
        "labels_sha256": labels.sha256,
        "where": list(labels.where),
        "examples_sha256": examples.sha256,
        "images_without_mask": len(labels.images) - len(examples.images),
        "members": {member.name: [len(member.training), len(member.held_out)] for member in members},
        "release_fold": release_fold,
        "versions": {
            "cxr_edge": cxr_edge.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def begin(directory: Path, record: dict[str, Any]) -> None:
    """Write the record of a new run, or check that the folder holds the same run.

    Raises:
        DatasetError: another run, or a record that cannot be read.
        OutputError: the folder cannot be written.
    """
    path = directory / "run.json"
    if not path.exists():
        with output_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
        return
    try:
        before = json.loads(path.read_text())
        changed = [key for key in record if key not in ("created", "versions") and before[key] != as_json(record[key])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path} is no record of a localiser run of this version ({type(error).__name__}: {error}); "
            "choose a new folder"
        ) from error
    if changed:
        raise DatasetError(
            f"{directory} holds another run (differs in {', '.join(changed)}); choose a new folder, or repeat the "
            "first command to resume it"
        )


def as_json(value: Any) -> Any:
    """What is read back when a value was written as JSON: lists for tuples."""
    return json.loads(json.dumps(value))


def train_member(
    directory: Path,
    member: Member,
    labels: LabelFile,
    config: LungTrainingConfig,
    examples: LungExamples,
    watcher: LungWatcher,
) -> None:
    """Fit one member from random weights and export it."""
    folder = directory / member.name
    with output_errors(folder):
        folder.mkdir(exist_ok=True)
    seen = DataUse().with_role("train", footprint(replace(labels, images=member.training)))
    write_atomically(folder / "data_use.json", json.dumps(seen.to_json()).encode())
    fitting = LungFitting(seeded_network(config.seed), config, examples.chosen(member.training))
    fit_lungs(
        fitting,
        folder,
        on_progress=lambda progress: watcher.progress(member.name, progress),
        stop_requested=watcher.stop_requested,
    )
    export_member(folder, fitting.result, examples.thumbnails[:16], watcher.note)


def export_member(folder: Path, network: LungNet, thumbnails: Any, note: Callable[[str], None]) -> None:
    """Write ``model.pt`` and, checked against torch, ``lungs.onnx``.

    Raises:
        CheckFailedError: the exported file computes something else than torch does; it is not written.
    """
    buffer = io.BytesIO()
    torch.save({"weights": network.state_dict(), "widths": list(network.widths)}, buffer)
    write_atomically(folder / "model.pt", buffer.getvalue())
    model = build_onnx(network).SerializeToString()
    difference = largest_difference(network, model, thumbnails)
    if not difference <= LARGEST_DIFFERENCE:
        raise CheckFailedError(
            f"{folder.name}: logits of the exported file differ from torch's by {difference:.2g}, more than "
            f"{LARGEST_DIFFERENCE}; nothing was written"
        )
    write_atomically(folder / "lungs.onnx", model)
    note(f"{folder.name}: lungs.onnx, {len(model):,} bytes, largest difference of a logit from torch {difference:.2g}")
