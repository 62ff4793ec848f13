"""Does training learn what is there, and nothing where nothing is? A leak of held-out labels would show here."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import SPEC, tiny_config, tiny_network, write_images, write_labels

from cxr_edge.evaluation import roc_auc
from cxr_edge.labels import LabelFile, read_labels
from training.config import Augmentation, Stage
from training.dataset import RadiographDataset, targets_of
from training.entry import with_shuffled_labels
from training.fit import Fitting, fit, predict
from training.splits import held_out_share

CPU = torch.device("cpu")
CONFIG = tiny_config(
    stages=(Stage(32, 6),),
    batch_size=16,
    learning_rate=3e-3,
    averaging=0.8,
    augmentation=Augmentation(brightness=0.02, contrast=0.02),
)


@pytest.fixture(scope="module")
def bright_and_dark(tmp_path_factory: pytest.TempPathFactory) -> LabelFile:
    """160 phantoms; the abnormal ones are a quarter darker than they were drawn."""
    folder = tmp_path_factory.mktemp("data")
    names = write_images(folder, 160, side=40)
    for name in names[1::2]:
        pixels = np.asarray(Image.open(folder / name))
        Image.fromarray((pixels * 0.75).astype(np.uint8)).save(folder / name)
    return read_labels(
        write_labels(folder / "labels.csv", [{"file": name, "label": i % 2} for i, name in enumerate(names)])
    )


def held_out_auc(labels: LabelFile, directory: Path) -> tuple[float, float]:
    """AUC on the held-out half, and three standard errors of an AUC of one half (Mann-Whitney)."""
    member = held_out_share(labels.images, 0.5, seed=0)
    training, held_out = (
        RadiographDataset(part, targets_of(part, "abnormality"), SPEC, augmentation, seed=0)
        for part, augmentation in ((member.training, CONFIG.augmentation), (member.held_out, None))
    )
    fitting = Fitting(tiny_network(), CONFIG, training, CPU)
    fit(
        fitting,
        directory,
        on_progress=lambda progress: None,
        on_epoch=lambda epoch: {},
        stop_requested=lambda: False,
    )
    truth = held_out.targets[:, 0].astype(int)
    ill, well = int(truth.sum()), int((1 - truth).sum())
    auc = roc_auc(truth, predict(fitting.result, held_out, 32, CPU)[:, 0]).value
    return auc, 3 * math.sqrt((ill + well + 1) / (12 * ill * well))


def test_a_visible_difference_is_learned(bright_and_dark: LabelFile, tmp_path: Path) -> None:
    auc, _ = held_out_auc(bright_and_dark, tmp_path)
    assert auc > 0.9


@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_labels_end_at_chance(bright_and_dark: LabelFile, tmp_path: Path, seed: int) -> None:
    auc, margin = held_out_auc(with_shuffled_labels(bright_and_dark, seed), tmp_path)
    assert margin < 0.25
    assert abs(auc - 0.5) < margin


def test_turned_labels_turn_the_prediction(bright_and_dark: LabelFile, tmp_path: Path) -> None:
    turned = replace(
        bright_and_dark, images=tuple(replace(i, label=1 - int(i.label or 0)) for i in bright_and_dark.images)
    )
    auc, _ = held_out_auc(turned, tmp_path)
    assert auc > 0.9
