"""A finished `cxr-edge train --cross-validate` as a cell of the study, so that nothing is trained twice.

It is taken only where it is the same experiment: same images, same division, same kind of input, layers and start.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import DatasetError, UsageError
from training.held_out import PREDICTIONS
from training.reproduce.cells import Cell
from training.reproduce.material import Material
from training.reproduce.plan import Split
from training.reproduce.record import StudyHeader
from training.run import Run

__all__ = ["ImportedRun"]


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A run that stands for a cell's first repeat.

    Attributes:
        cell: which.
        run: the run, checked.
    """

    cell: Cell
    run: Run

    @classmethod
    def open(cls, setting: str, material: Material, header: StudyHeader) -> ImportedRun:
        """The run of a setting ``CELL=RUN``.

        Raises:
            UsageError: a setting of another form, or a run of another experiment; the message lists what differs.
            DatasetError: the folder is no run.
        """
        name, equals, folder = setting.partition("=")
        if not equals or not folder:
            raise UsageError(f"--use-run {setting!r}: give CELL=RUN, such as full:all:linear:none=runs/scratch")
        cell, run = Cell.parse(name), Run.open(Path(folder))
        if cell.start not in material.starts:
            raise UsageError(f"--use-run {setting}: give --{cell.start} too, the checkpoint that the run started from")
        expected = expected_of(cell, material, header)
        differing = [what for what, value in told_of(run).items() if value != expected[what]]
        if differing:
            raise UsageError(f"--use-run {setting}: the run is another experiment (other {', '.join(differing)})")
        return cls(cell, run)

    @property
    def config(self) -> dict[str, Any]:
        """What decided its predictions, JSON-ready; ``earlier`` are the runs that it went on from, latest first."""
        return {
            **self.run.record["config"],
            "start_sha256": next(iter(starting_sha256(self.run)), None),
            "lungs_sha256": sorted(self.run.record.get("lungs_sha256", ())),
            "earlier": [run.record["config"] for run in earlier_runs(self.run)],
        }

    def logits(self, split: Split, material: Material) -> NDArray[np.float64] | None:
        """The held-out images' logits ``[n]``; None where the run has not finished this split, or it is a later repeat.

        Raises:
            DatasetError: the run predicted other images, or trained on others.
        """
        member = f"fold-{split.name}"
        if split.repeat or not self.run.finished(member):
            return None
        counts = tuple(self.run.record["images"][member])
        path = self.run.directory / member / PREDICTIONS
        with path.open(newline="") as file:
            rows = {row["file"]: row for row in csv.DictReader(file)}
        held_out = material.chosen(split.held_out)
        same = all(rows.get(i.path.name, {}).get("target_abnormal") == str(i.label) for i in held_out)
        if not same or counts != (len(split.training), len(held_out)) or len(rows) != len(held_out):
            raise DatasetError(f"{path} is not of the images that the study holds out in fold {split.name}")
        return np.array([float(rows[image.path.name]["logit_abnormal"]) for image in held_out])


def told_of(run: Run) -> dict[str, Any]:
    """What a run says of itself that must agree with its cell."""
    return {
        "task": run.config.task,
        "head": "linear",
        "tuned layers": run.config.tune,
        "variant": run.config.preprocess.variant,
        "start": starting_sha256(run),
        "label file": run.record["labels_sha256"],
        "filters": run.where,
        "release fold": run.release_fold,
        "split": "folds",
    }


def expected_of(cell: Cell, material: Material, header: StudyHeader) -> dict[str, Any]:
    """What a run of a cell would have to say."""
    sha256 = material.starts[cell.start].sha256
    return {
        "task": "abnormality",
        "head": cell.head,
        "tuned layers": cell.tune,
        "variant": cell.variant,
        "start": [] if sha256 is None else [sha256],
        "label file": header.labels_sha256,
        "filters": header.where,
        "release fold": header.release_fold,
        "split": "paper" if header.paper_split else "folds",
    }


def starting_sha256(run: Run) -> list[str]:
    """Hash of the checkpoint that a run, or the run that it went on from, began with; none for random weights."""
    sha256: list[str] = ([run, *earlier_runs(run)])[-1].record["initial_sha256"]
    return sha256


def earlier_runs(run: Run) -> list[Run]:
    """The cross-validations that a run went on from, member by member, latest first.

    Raises:
        DatasetError: one of them is not there any more.
    """
    initial = run.record["initial"]
    # A run that goes on from another has a checkpoint for each of its members; a single one is a pretraining's.
    if initial is None or len(run.record["initial_sha256"]) < 2:
        return []
    earlier = Run.open(Path(initial))
    return [earlier, *earlier_runs(earlier)]
