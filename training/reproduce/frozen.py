"""Cells with a frozen backbone: it sees each image once, its pooled features are kept, and heads are fitted to those.

Images are shown as they are, without augmentation. An untrained backbone is a cell, too: what a head makes of random
features is the floor that a pretrained one has to rise above.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.errors import DatasetError
from training.config import Stage, TrainingConfig
from training.dataset import EpochBatches, RadiographDataset, batches, targets_of
from training.model import CheXNet
from training.reproduce.cells import Cell, spec_of
from training.reproduce.heads import FittedHead, fitted_head
from training.reproduce.material import Material, StudyWatcher
from training.reproduce.plan import Split
from training.starting_points import initial_network

__all__ = ["frozen_config", "frozen_logits", "pooled_features"]

BATCH = 16


def frozen_config(cell: Cell, material: Material, size: int, seed: int) -> dict[str, Any]:
    """What decides the predictions of a cell with a frozen backbone, JSON-ready."""
    spec = spec_of(cell.variant, size)
    return {
        "preprocess": spec.to_json(),
        "start_sha256": material.starts[cell.start].sha256,
        "lungs_sha256": sorted(material.localisers.sha256.values()) if spec.needs_lungs else [],
        "seed": seed,
    }


def frozen_logits(cell: Cell, split: Split, features: NDArray[np.float32], material: Material, seed: int) -> FittedHead:
    """The held-out images' logits from a head fitted to the training images' features ``[n, channels]``."""
    training, held_out = list(split.training), list(split.held_out)
    patients = ["/".join(image.patient) for image in material.chosen(training)]
    return fitted_head(
        cell.head, features[training], material.truth[training], patients, features[held_out], seed + split.repeat
    )


def pooled_features(cell: Cell, material: Material, size: int, seed: int, watcher: StudyWatcher) -> NDArray[np.float32]:
    """Rectified, pooled features of every image, ``[n, channels]``; kept in the study's folder.

    Raises:
        DatasetError: images or checkpoint cannot be used, or features that are not finite.
        OutputError: the folder cannot be written.
        KeyboardInterrupt: a stop was requested.
    """
    config = frozen_config(cell, material, size, seed)
    key = json.dumps([config, material.labels.sha256, [image.columns["file"] for image in material.images]])
    name = f"{cell.variant}-{cell.start}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npy"
    path = material.directory / "features" / name
    if path.exists():
        return np.asarray(np.load(path), np.float32)
    spec = spec_of(cell.variant, size)
    # Stages mean nothing to a frozen backbone, but a configuration has some, and the last is of the input's size.
    start = TrainingConfig(stages=(Stage(size, 1),), preprocess=spec, seed=seed)
    network = initial_network(start, material.starts[cell.start].checkpoint, watcher.note)
    features = computed_features(network, material, start, watcher, f"features of {cell.variant}, {cell.start}")
    if not np.isfinite(features).all():
        raise DatasetError(f"the backbone of start {cell.start!r} gives features that are not finite numbers")
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.save(buffer, features)
    write_atomically(path, buffer.getvalue())
    return features


def computed_features(
    network: CheXNet, material: Material, config: TrainingConfig, watcher: StudyWatcher, doing: str
) -> NDArray[np.float32]:
    """One forward pass of the backbone over every image, ``[n, channels]``."""
    images = material.images
    dataset = RadiographDataset(
        images, targets_of(images, "abnormality"), config.preprocess, localisers=material.localisers
    )
    network.to(material.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    rows: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for number, (inputs, _) in enumerate(batches(dataset, EpochBatches(len(images), BATCH, config.stages[0].size))):
            watcher.check_stop()
            watcher.step(doing, number * BATCH, len(images))
            shown = inputs.to(material.device, memory_format=torch.channels_last)
            pooled = torch.relu(network.features(shown)).mean(dim=(2, 3))
            rows.append(pooled.cpu().numpy())
    watcher.step(doing, len(images), len(images))
    return np.concatenate(rows)
