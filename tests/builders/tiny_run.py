"""Labelled phantoms and a finished cross-validation on them, with a network of one layer a block: made in seconds."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.phantom.files import png_bytes
from cxr_edge.preprocess.spec import PreprocessSpec
from training.checkpoints import save_checkpoint
from training.config import Stage, TrainingConfig
from training.entry import TrainingOptions, train_from_options
from training.model import CheXNet
from training.run import Watcher

SIDE = 32
SPEC = PreprocessSpec(height=SIDE, width=SIDE)
IMAGE_SIDE = 224
"""The least that the input gate lets through."""


def tiny_network(seed: int = 0, channels: int = 1, outputs: int = 1, dropout: float = 0.0) -> CheXNet:
    """CheXNet with one layer in each block; its random weights leave the global random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CheXNet(channels=channels, outputs=outputs, blocks=(1, 1, 1, 1), dropout=dropout)


def tiny_config(epochs: int = 3, **changes: object) -> TrainingConfig:
    return TrainingConfig(
        **{"stages": (Stage(SIDE, epochs),), "batch_size": 4, "precision": "fp32", "preprocess": SPEC, **changes}  # type: ignore[arg-type]
    )


def write_images(folder: Path, count: int, side: int = IMAGE_SIDE) -> list[str]:
    """Names of ``count`` phantoms written into the folder; every second one, from the second on, is abnormal."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.png" for number in range(count)]
    for number, name in enumerate(names):
        spec = PhantomSpec(height=side, width=side, bits_stored=8, seed=number, abnormal=number % 2 == 1)
        (folder / name).write_bytes(png_bytes(phantom(spec)))
    return names


def write_labels(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def three_folds(folder: Path, *, per_fold: int = 4, side: int = IMAGE_SIDE) -> Path:
    """A label file of three folds with as many normal as abnormal images, and one AP image that a filter can leave out.

    Columns: file, label, fold, view, patient_id, finding_labels.
    """
    names = write_images(folder / "images", 3 * per_fold + 1, side)
    rows: list[dict[str, object]] = [
        {
            "file": f"images/{name}",
            "label": number % 2,
            "fold": number // 2 % 3,
            "view": "PA",
            "patient_id": f"p{number}",
            "finding_labels": "Mass|Nodule" if number % 2 else "No Finding",
        }
        for number, name in enumerate(names)
    ]
    rows[-1]["view"] = "AP"
    return write_labels(folder / "labels.csv", rows)


def silent(stop_requested: bool = False) -> Watcher:
    return Watcher(lambda member, number, count: None, lambda progress: None, lambda: stop_requested)


def tiny_checkpoint(path: Path, seed: int = 0, outputs: Sequence[str] = ("abnormal",)) -> Path:
    save_checkpoint(path, tiny_network(seed, outputs=len(outputs)), labels=outputs, preprocess=SPEC)
    return path


def tiny_options(output: Path, data: Path, **changes: object) -> TrainingOptions:
    """What ``cxr-edge train`` would ask for: three folds of which fold 0 is released, PA views only, a few steps."""
    values: dict[str, object] = {
        "output": output,
        "data": data,
        "where": ("view=PA",),
        "task": "abnormality",
        "initial": None,
        "tune": "all",
        "cross_validate": True,
        "release_fold": "0",
        "only": (),
        "held_out": 0.1,
        "stages": ((SIDE, 3),),
        "batch_size": 4,
        "learning_rate": 1e-3,
        "precision": "fp32",
        "shuffle_labels": False,
        "seed": 7,
        "device": "cpu",
    }
    return TrainingOptions(**{**values, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True)
class TinyRun:
    """A finished run, its label file and the checkpoint it began with; read-only by agreement."""

    directory: Path
    labels: Path
    initial: Path


@functools.cache
def finished_run(temporary: Path) -> TinyRun:
    """A cross-validation trained to its end in a temporary directory; made once for each directory."""
    folder = temporary / "tiny-run"
    folder.mkdir()
    initial = tiny_checkpoint(folder / "initial.pt")
    labels = three_folds(folder / "data")
    with one_thread():
        train_from_options(
            tiny_options(folder / "run", labels, initial=initial),
            lambda *progress: None,
            lambda: False,
            lambda note: None,
        )
    return TinyRun(folder / "run", labels, initial)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: a network this small only waits for a second one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
