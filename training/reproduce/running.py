"""A study from its first cell to its last: what is on record is not made again, what is made is on record at once."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray

import cxr_edge
from cxr_edge.errors import UsageError
from training.reproduce.all_layers import all_layers_config, all_layers_logits, cell_config
from training.reproduce.cells import Cell
from training.reproduce.frozen import frozen_config, frozen_logits, pooled_features
from training.reproduce.imported_run import ImportedRun
from training.reproduce.material import Material, StudyWatcher
from training.reproduce.plan import Split
from training.reproduce.record import PredictionRecord, StudyHeader, StudyRecord, json_copy

__all__ = ["RECORDS", "Recipe", "Study"]

RECORDS = "records.jsonl"
DIGITS = 7
"""Significant digits of a recorded logit: as many as a float32 has."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How networks are trained.

    Attributes:
        stages: input sizes and epochs, in order; frozen backbones work at the last size.
        batch_size: images a step.
        seed: of initialisation, order, augmentation and heads.
    """

    stages: tuple[tuple[int, int], ...]
    batch_size: int
    seed: int

    @property
    def size(self) -> int:
        """Final input size, pixels."""
        return self.stages[-1][0]


@dataclass(frozen=True, slots=True)
class Study:
    """What is needed to make the predictions of any cell.

    Attributes:
        header: of the record.
        material: images and starting points.
        recipe: how to train.
        imported: runs that stand for a cell, by its name.
        watcher: progress and interruption.
    """

    header: StudyHeader
    material: Material
    recipe: Recipe
    imported: Mapping[str, ImportedRun] = field(default_factory=dict)
    watcher: StudyWatcher = field(default_factory=StudyWatcher)

    def run(self, cells: Sequence[Cell], plan: Sequence[Split]) -> StudyRecord:
        """The record with every split of every cell; written after each.

        Raises:
            UsageError: the folder holds another study, or predictions that were made in another way.
            DatasetError: images, checkpoints or runs that cannot be used.
            OutputError: the record cannot be written.
            KeyboardInterrupt: a stop was requested; calling it again goes on.
        """
        path = self.material.directory / RECORDS
        record = StudyRecord.resumed(path, self.header)
        wanted = [(cell, split) for cell in cells for split in plan]
        for number, (cell, split) in enumerate(wanted, start=1):
            self.watcher.check_stop()
            before = record.found(cell, split)
            if before is not None:
                self.check_same(before, cell, path)
                continue
            doing = f"[{number}/{len(wanted)}] {cell.name} repeat {split.repeat} split {split.name}"
            line = self.predicted(cell, split, doing)
            if line is not None:
                record = record.with_prediction(line)
                record.write(path)
        return record

    def predicted(self, cell: Cell, split: Split, doing: str) -> PredictionRecord | None:
        """One model's predictions; None where the cell is a run's and the run has not come so far."""
        self.watcher.step(doing, 0, 1)
        if cell.name in self.imported:
            source = self.imported[cell.name]
            logits = source.logits(split, self.material)
            if logits is None:
                if split.repeat == 0:
                    self.watcher.note(f"note: {source.run.directory} has not finished fold {split.name} of {cell.name}")
                return None
            name, made_by = f"run {source.run.directory.name}", dict(source.run.record["versions"])
            return self.line(cell, split, logits, name, made_by)
        if cell.tune == "head":
            features = pooled_features(cell, self.material, self.recipe.size, self.recipe.seed, self.watcher)
            fitted = frozen_logits(cell, split, features, self.material, self.recipe.seed)
            return self.line(cell, split, fitted.logits, "features", versions(), fitted.setting)
        config = cell_config(cell, self.recipe.stages, self.recipe.batch_size, self.recipe.seed)
        logits = all_layers_logits(cell, split, self.material, config, self.watcher, doing)
        return self.line(cell, split, logits, "trained", versions())

    def line(
        self,
        cell: Cell,
        split: Split,
        logits: NDArray[np.float64],
        source: str,
        made_by: dict[str, str],
        setting: dict[str, float] | None = None,
    ) -> PredictionRecord:
        """A line of the record."""
        return PredictionRecord(
            cell=cell.name,
            repeat=split.repeat,
            split=split.name,
            scored=split.scored,
            trained_on=len(split.training),
            held_out=split.held_out,
            logits=tuple(float(f"{logit:.{DIGITS}g}") for logit in logits),
            source=source,
            config=json_copy(self.config(cell)),
            setting=setting or {},
            labels_sha256=self.header.labels_sha256,
            versions=made_by,
        )

    def config(self, cell: Cell) -> dict[str, Any]:
        """What decides a cell's predictions."""
        if cell.name in self.imported:
            return self.imported[cell.name].config
        if cell.tune == "head":
            return frozen_config(cell, self.material, self.recipe.size, self.recipe.seed)
        config = cell_config(cell, self.recipe.stages, self.recipe.batch_size, self.recipe.seed)
        return all_layers_config(cell, self.material, config)

    def check_same(self, before: PredictionRecord, cell: Cell, path: Path) -> None:
        """Return when a line on record was made as it would be now, or taken from a run that nobody named again.

        Raises:
            UsageError: it was not; mixing both would make figures of no cell at all.
        """
        if before.source.startswith("run ") and cell.name not in self.imported:
            return
        now = json_copy(self.config(cell))
        differing = sorted(key for key in {*now, *before.config} if before.config.get(key) != now.get(key))
        if differing:
            raise UsageError(
                f"{path} has {cell.name} made in another way (other {', '.join(differing)}); repeat the first command "
                "to go on with it, or give another -o"
            )


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return {
        "cxr_edge": cxr_edge.__version__,
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
