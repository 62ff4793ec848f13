"""A study of phantoms with folds, masks and a tiny pretrained checkpoint; a record without any network behind it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_run import SIDE, one_thread, three_folds, tiny_checkpoint, write_labels
from tiny_study import IMAGES, prediction

from training.model import NIH_LABELS
from training.reproduce.entry import ReproductionOptions
from training.reproduce.record import StudyHeader, StudyRecord


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds of eight phantoms, with a mask named for each but the last one; read-only by agreement."""
    path = three_folds(tmp_path_factory.mktemp("reproduce") / "phantoms", per_fold=8)
    with path.open(newline="") as file:
        rows: list[dict[str, object]] = list(csv.DictReader(file))
    for row in rows:
        row["mask"] = row["file"]  # nobody opens masks here: that a file is there is enough
    rows[-1]["mask"] = ""
    return write_labels(path, rows)


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the 14 findings with one layer a block."""
    return tiny_checkpoint(tmp_path_factory.mktemp("pretrained") / "nih14.pt", outputs=NIH_LABELS)


@pytest.fixture
def options(phantoms: Path, pretrained: Path, tmp_path: Path) -> Callable[..., ReproductionOptions]:
    """What ``cxr-edge reproduce`` would ask for: frozen cells of the whole frame, three folds, a tiny network."""

    def of(**changes: object) -> ReproductionOptions:
        values: dict[str, object] = {
            "output": tmp_path / "study",
            "data": phantoms,
            "where": (),
            "chexnet": None,
            "nih14": pretrained,
            "lungs": None,
            "variants": ("full",),
            "tune": ("head",),
            "heads": ("linear",),
            "starts": ("nih14",),
            "use_run": (),
            "repeats": 1,
            "release_fold": None,
            "paper_split": False,
            "stages": ((SIDE, 2),),
            "batch_size": 4,
            "quick": False,
            "seed": 5,
            "device": "cpu",
        }
        return ReproductionOptions(**{**values, **changes})  # type: ignore[arg-type]

    return of


@pytest.fixture
def header() -> StudyHeader:
    """Sixty images of as many patients; abnormal are those with an odd number."""
    return StudyHeader(
        datasets=("phantoms",),
        labels_sha256="a" * 64,
        where=(),
        images_sha256="b" * 64,
        labels=tuple(number % 2 for number in range(IMAGES)),
        patients=tuple(range(IMAGES)),
        release_fold="0",
        paper_split=False,
        quick=False,
        seed=5,
    )


@pytest.fixture
def study_record(header: StudyHeader) -> StudyRecord:
    """Two variants, the second better, and a trained cell with one of three models missing."""
    random = np.random.default_rng(1)
    truth = np.array(header.labels)
    weak, strong = truth + random.normal(size=IMAGES), 2.5 * truth + random.normal(size=IMAGES)
    stages = {"stages": [{"size": 160, "epochs": 20}], "earlier": [{"stages": [{"size": 96, "epochs": 3}]}]}
    lines = [
        *(prediction("full:head:linear:nih14", fold, weak) for fold in range(3)),
        *(prediction("body:head:linear:nih14", fold, strong) for fold in range(3)),
        *(prediction("full:all:linear:none", fold, strong, source="run scratch", config=stages) for fold in range(2)),
    ]
    return StudyRecord(header, tuple(lines))
