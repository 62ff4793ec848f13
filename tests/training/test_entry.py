from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_run import TinyRun, three_folds, tiny_checkpoint, tiny_options

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import LabelFile, read_labels
from training.config import Stage
from training.entry import (
    configuration,
    denormals_flushed,
    device_of,
    members_of,
    train_from_options,
    with_shuffled_labels,
)
from training.model import NIH_LABELS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return three_folds(tmp_path_factory.mktemp("data"), per_fold=8, side=64)


@pytest.fixture
def labels(data: Path) -> LabelFile:
    return read_labels(data, ("view=PA",))


OPTIONS = tiny_options(Path("run"), Path("labels.csv"))


def quiet(*told: Any) -> None:
    """Show nothing."""


def test_the_options_become_the_configuration() -> None:
    options = replace(
        OPTIONS, task="nih14", tune="head", initial=Path("model.pt"), stages=((64, 2), (96, 1)), batch_size=8, seed=3
    )
    config = configuration(options)
    assert (config.task, config.tune, config.batch_size, config.seed) == ("nih14", "head", 8, 3)
    assert config.stages == (Stage(64, 2), Stage(96, 1))
    assert (config.preprocess.height, config.preprocess.width) == (96, 96)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "triage"}, "--task 'triage' is unknown; choose from abnormality, nih14"),
        ({"tune": "some"}, "--tune 'some'"),
        ({"precision": "fp16"}, "--precision 'fp16'"),
        ({"stages": ((100, 1),)}, "100x1"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_an_unknown_value_is_refused_with_the_choices(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        configuration(replace(OPTIONS, **change))


@pytest.mark.parametrize("device", ["tpu", "meta", "mps:0"])
def test_a_device_that_cannot_be_trained_on_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match=f"--device '{device}'"):
        device_of(replace(OPTIONS, device=device))


def test_a_missing_gpu_is_a_usage_error_not_a_silent_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="finds no usable GPU"):
        device_of(replace(OPTIONS, device="cuda"))
    assert device_of(replace(OPTIONS, device=None)) == torch.device("cpu")


def test_options_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    options = replace(OPTIONS, data=tmp_path / "missing.csv", task="triage")
    with pytest.raises(UsageError, match="--task"):
        train_from_options(options, quiet, lambda: False, quiet)


def test_without_folds_a_share_of_the_patients_is_held_out(labels: LabelFile) -> None:
    options = replace(OPTIONS, cross_validate=False, release_fold=None, held_out=0.3)
    (member,) = members_of(options, labels)
    assert (member.name, member.fold) == ("model", None)
    assert 0 < len(member.held_out) < len(member.training)
    (everyone,) = members_of(replace(options, held_out=0.0), labels)
    assert len(everyone.training) == len(labels.images)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"release_fold": "0"}, "--release-fold goes with --cross-validate"),
        ({"held_out": 1.0}, "--held-out 1.0"),
        ({"held_out": float("nan")}, "--held-out nan"),
    ],
)
def test_contradicting_options_are_refused(labels: LabelFile, change: dict[str, Any], says: str) -> None:
    options = replace(OPTIONS, **{"cross_validate": False, "release_fold": None, **change})
    with pytest.raises(UsageError, match=says):
        members_of(options, labels)


def test_shuffling_hands_the_same_labels_to_other_images(labels: LabelFile) -> None:
    shuffled = with_shuffled_labels(labels, seed=0)

    def labelled(file: LabelFile) -> list[tuple[int | None, tuple[str, ...]]]:
        return [(image.label, image.finding_labels) for image in file.images]

    assert Counter(labelled(shuffled)) == Counter(labelled(labels))
    assert labelled(shuffled) != labelled(labels)
    untouched = [replace(image, label=None, finding_labels=()) for image in labels.images]
    assert [replace(image, label=None, finding_labels=()) for image in shuffled.images] == untouched
    assert labelled(with_shuffled_labels(labels, seed=0)) == labelled(shuffled)
    assert labelled(with_shuffled_labels(labels, seed=1)) != labelled(shuffled)


def test_a_run_on_shuffled_labels_says_so_and_never_passes_for_one_on_the_real_ones(
    data: Path, tiny_run: TinyRun, tmp_path: Path
) -> None:
    options = tiny_options(tmp_path / "run", data, initial=tiny_run.initial, shuffle_labels=True, only=("fold-1",))
    run = train_from_options(options, quiet, lambda: False, quiet)
    assert run.record["labels_sha256"] == f"{read_labels(data).sha256}-shuffled-7"
    with pytest.raises(DatasetError, match="differs in labels_sha256"):
        train_from_options(replace(options, shuffle_labels=False), quiet, lambda: False, quiet)


def test_the_out_of_fold_table_comes_with_the_last_member(data: Path, tiny_run: TinyRun, tmp_path: Path) -> None:
    options = tiny_options(tmp_path / "run", data, initial=tiny_run.initial, only=("fold-0", "fold-1"))
    train_from_options(options, quiet, lambda: False, quiet)
    assert not (tmp_path / "run" / "out_of_fold.csv").exists()
    train_from_options(replace(options, only=()), quiet, lambda: False, quiet)
    with (tmp_path / "run" / "out_of_fold.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert sorted(row["file"] for row in table) == sorted(f"{number}.png" for number in range(24))


def test_progress_names_the_model_and_counts_its_epochs(data: Path, tiny_run: TinyRun, tmp_path: Path) -> None:
    shown: list[tuple[str, float, int, float]] = []
    options = tiny_options(tmp_path / "run", data, initial=tiny_run.initial, only=("fold-1",))
    train_from_options(options, lambda *progress: shown.append(progress), lambda: False, quiet)
    assert {(member, epochs) for member, _, epochs, _ in shown} == {("fold-1 (2 of 3)", 3)}
    assert [done for _, done, _, _ in shown] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


def test_a_filter_is_part_of_the_run(data: Path, tiny_run: TinyRun, tmp_path: Path) -> None:
    options = tiny_options(tmp_path / "run", data, initial=tiny_run.initial, only=("fold-1",))
    train_from_options(options, quiet, lambda: False, quiet)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["where"] == ["view=PA"]
    with pytest.raises(DatasetError, match="differs in where, images"):
        train_from_options(replace(options, where=()), quiet, lambda: False, quiet)


def test_how_the_checkpoint_was_adapted_is_told(data: Path, tmp_path: Path) -> None:
    initial = tiny_checkpoint(tmp_path / "fourteen.pt", outputs=NIH_LABELS)
    notes: list[str] = []
    options = tiny_options(tmp_path / "run", data, initial=initial, only=("fold-1",))
    train_from_options(options, quiet, lambda: False, notes.append)
    assert notes[0] == f"starting from {initial}, a cxr-edge checkpoint"
    assert any("head" in note for note in notes[1:])


def test_training_leaves_the_process_with_denormal_numbers() -> None:
    """Flushing them is a state of the whole process; whoever trains from Python must get it back."""
    with denormals_flushed():
        pass
    smallest = np.array([5e-324])
    assert (smallest * 1.0)[0] > 0
