"""Cells in which every layer is trained: the project's own fitting, once for each split.

No model is kept: a study is about figures. `cxr-edge train` makes models.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.atomic import output_errors
from training.config import Stage, TrainingConfig
from training.dataset import RadiographDataset, targets_of
from training.fit import Fitting, Progress, fit, predict
from training.reproduce.cells import Cell, spec_of
from training.reproduce.hidden_head import with_hidden_head
from training.reproduce.material import Material, StudyWatcher
from training.reproduce.plan import Split
from training.starting_points import initial_network

__all__ = ["all_layers_config", "all_layers_logits", "cell_config"]


def cell_config(cell: Cell, stages: tuple[tuple[int, int], ...], batch_size: int, seed: int) -> TrainingConfig:
    """How a cell's networks are trained.

    Raises:
        UsageError: stages or batch size that cannot be trained with.
    """
    return TrainingConfig(
        tune=cell.tune,
        stages=tuple(Stage(*stage) for stage in stages),
        batch_size=batch_size,
        seed=seed,
        preprocess=spec_of(cell.variant, stages[-1][0]),
    )


def all_layers_config(cell: Cell, material: Material, config: TrainingConfig) -> dict[str, Any]:
    """What decides the predictions of a cell of trained networks, JSON-ready."""
    return {
        **config.to_json(),
        "start_sha256": material.starts[cell.start].sha256,
        "lungs_sha256": sorted(material.localisers.sha256.values()) if config.preprocess.needs_lungs else [],
    }


def all_layers_logits(
    cell: Cell, split: Split, material: Material, config: TrainingConfig, watcher: StudyWatcher, doing: str
) -> NDArray[np.float64]:
    """The held-out images' logits from a network trained on the training images, ``[n]``.

    A training that was interrupted goes on at the same step.

    Args:
        cell: gives head and starting point.
        split: whom to train on and whom to predict.
        material: the images.
        config: how to train; each repeat has a seed of its own.
        watcher: progress and interruption.
        doing: how progress is headed.

    Raises:
        DatasetError: images or checkpoint cannot be used.
        KeyboardInterrupt: a stop was requested; the state is saved.
    """
    config = replace(config, seed=config.seed + split.repeat)
    network = initial_network(config, material.starts[cell.start].checkpoint, watcher.note)
    if cell.head == "hidden":
        with_hidden_head(network, config.seed)
    training, held_out = material.chosen(split.training), material.chosen(split.held_out)
    seen = RadiographDataset(
        training,
        targets_of(training, "abnormality"),
        config.preprocess,
        config.augmentation,
        config.seed,
        material.localisers,
    )
    fitting = Fitting(network, config, seen, material.device)
    told = json.dumps([cell.name, split.name, split.training, all_layers_config(cell, material, config)])
    folder = material.directory / "work" / hashlib.sha256(told.encode()).hexdigest()[:16]
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)

    def progressed(progress: Progress) -> None:
        watcher.step(doing, progress.epoch + progress.step / progress.steps, progress.epochs)

    fit(fitting, folder, on_progress=progressed, on_epoch=lambda epoch: {}, stop_requested=watcher.stop_requested)
    unseen = RadiographDataset(
        held_out, targets_of(held_out, "abnormality"), config.preprocess, localisers=material.localisers
    )
    logits = predict(fitting.result, unseen, config.preprocess.height, material.device)
    (folder / "state.pt").unlink()
    return logits[:, 0].astype(np.float64)
