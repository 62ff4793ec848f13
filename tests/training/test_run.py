from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_run import SPEC, TinyRun, silent, three_folds, tiny_checkpoint, tiny_config

from cxr_edge.data_use import UNKNOWN_ORIGIN, DataUse, Footprint, footprint
from cxr_edge.errors import DatasetError, OutputError, UsageError
from cxr_edge.labels import LabelFile, read_labels
from training.checkpoints import load_checkpoint
from training.config import TrainingConfig
from training.dataset import RadiographDataset, targets_of
from training.fit import predict
from training.model import NIH_LABELS
from training.run import Run, Watcher, train
from training.splits import Member, cross_validation, held_out_share, whole_set
from training.starting_points import initial_network

CPU = torch.device("cpu")
CONFIG = tiny_config()

NOTHING = Footprint(frozenset(), frozenset())


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> LabelFile:
    return read_labels(three_folds(tmp_path_factory.mktemp("data"), side=64))


@pytest.fixture(scope="module")
def initial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("initial") / "model.pt")


@pytest.fixture
def trained(labels: LabelFile, initial: Path, tmp_path: Path) -> Callable[..., Run]:
    """Trains the three folds into ``tmp_path / "run"``; keywords change single arguments of `train`."""

    def call(**changes: Any) -> Run:
        arguments: dict[str, Any] = {
            "directory": tmp_path / "run",
            "labels": labels,
            "members": cross_validation(labels.images),
            "config": CONFIG,
            "release_fold": None,
            "initial": initial,
            "device": CPU,
            "watcher": silent(),
            **changes,
        }
        return train(arguments.pop("directory"), arguments.pop("labels"), arguments.pop("members"), **arguments)

    return call


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory but the picture, by its path."""
    paths = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".png")
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def watching(members: list[str]) -> Watcher:
    return replace(silent(), member=lambda member, number, count: members.append(f"{member.name} {number}/{count}"))


def test_a_finished_run_leaves_its_record_weights_predictions_history_and_curves(tiny_run: TinyRun) -> None:
    run = Run.open(tiny_run.directory)
    assert run.members == {"fold-0": "0", "fold-1": "1", "fold-2": "2"}
    assert (run.release_fold, run.where) == ("0", ("view=PA",))
    assert run.record["images"] == {"fold-0": [8, 4], "fold-1": [4, 4], "fold-2": [4, 4]}
    assert run.record["outputs"] == ["abnormal"]
    assert run.record["labels_sha256"] == read_labels(tiny_run.labels).sha256
    assert run.record["versions"]["torch"] == torch.__version__
    for member in run.members:
        files = {path.name for path in (run.directory / member).iterdir()}
        assert files == {"model.pt", "predictions.csv", "history.jsonl", "data_use.json"}
        assert run.finished(member)
    assert (run.directory / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_predictions_are_those_of_the_stored_weights_on_the_held_out_images(tiny_run: TinyRun) -> None:
    run = Run.open(tiny_run.directory)
    images = [image for image in read_labels(tiny_run.labels, run.where).images if image.fold == "1"]
    data = RadiographDataset(images, targets_of(images, "abnormality"), SPEC)
    logits = predict(load_checkpoint(run.model_path("fold-1")).model, data, 32, CPU)
    table = rows(run.directory / "fold-1" / "predictions.csv")
    assert [row["file"] for row in table] == [image.path.name for image in images]
    assert [row["patient_id"] for row in table] == [f"{image.dataset}/{image.patient_id}" for image in images]
    assert {row["fold"] for row in table} == {"1"}
    assert [int(row["target_abnormal"]) for row in table] == [image.label for image in images]
    np.testing.assert_allclose([float(row["logit_abnormal"]) for row in table], logits[:, 0], rtol=0, atol=1e-6)


def test_what_the_weights_have_seen_stands_beside_them(tiny_run: TinyRun) -> None:
    labels = read_labels(tiny_run.labels, ("view=PA",))
    for member in cross_validation(labels.images, "0"):
        seen = DataUse.from_json(json.loads((tiny_run.directory / member.name / "data_use.json").read_text()))
        # The tiny run begins with a checkpoint that has no record beside it.
        assert dict(seen.roles) == {
            "train": footprint(replace(labels, images=member.training)),
            UNKNOWN_ORIGIN: NOTHING,
        }


def test_weights_that_began_with_another_run_inherit_what_it_had_seen(
    trained: Callable[..., Run], tiny_run: TinyRun, labels: LabelFile
) -> None:
    before = DataUse.from_json(json.loads((tiny_run.directory / "fold-1" / "data_use.json").read_text()))
    member = whole_set(labels.images)
    run = trained(members=[member], initial=tiny_run.directory / "fold-1" / "model.pt")
    seen = DataUse.from_json(json.loads((run.directory / "model" / "data_use.json").read_text()))
    assert dict(seen.roles) == {
        "train": footprint(labels),
        "pretrain": before.roles["train"],
        UNKNOWN_ORIGIN: NOTHING,
    }


def test_a_run_goes_on_from_the_members_of_an_earlier_one(
    trained: Callable[..., Run], tiny_run: TinyRun, labels: LabelFile
) -> None:
    """Each member starts from the one of its name, so none gets weights that have seen what it predicts."""
    members = cross_validation(labels.images, "0")
    run = trained(members=members, release_fold="0", initial=tiny_run.directory)
    for member in members:
        earlier = DataUse.from_json(json.loads((tiny_run.directory / member.name / "data_use.json").read_text()))
        seen = DataUse.from_json(json.loads((run.directory / member.name / "data_use.json").read_text()))
        assert seen.roles["pretrain"] == earlier.roles["train"]
        held_out = footprint(replace(labels, images=member.held_out))
        assert not held_out.images & (seen.roles["pretrain"].images | seen.roles["train"].images)


def test_a_stopped_run_resumes_to_the_same_files_as_one_that_was_not(
    trained: Callable[..., Run], tmp_path: Path
) -> None:
    whole = trained(directory=tmp_path / "whole")
    asked = iter(range(100))
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            trained(watcher=replace(silent(), stop_requested=lambda: next(asked) % 4 == 3))
    resumed = trained()
    expected, found = contents(whole.directory), contents(resumed.directory)
    created = [json.loads(record.pop("run.json")).pop("created") for record in (expected, found)]
    assert len(created) == 2
    assert {name for name in expected if expected[name] != found[name]} == set()
    assert set(found) == set(expected)


def test_members_are_trained_once_and_only_those_asked_for(trained: Callable[..., Run]) -> None:
    begun: list[str] = []
    run = trained(only=["fold-1"], watcher=watching(begun))
    assert begun == ["fold-1 1/3"]
    assert [run.finished(member) for member in run.members] == [False, True, False]
    first = contents(run.directory / "fold-1")
    trained(watcher=watching(begun))
    assert begun == ["fold-1 1/3", "fold-0 0/3", "fold-2 2/3"]
    assert contents(run.directory / "fold-1") == first
    trained(watcher=watching(begun))
    assert len(begun) == 3


def test_an_unknown_member_is_refused_with_those_there_are(trained: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no member fold-9; it has fold-0, fold-1, fold-2"):
        trained(only=["fold-1", "fold-9"])
    assert not (tmp_path / "run").exists()


def without_last(labels: LabelFile) -> Sequence[Member]:
    return cross_validation(labels.images[:-1])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda labels: {"config": replace(CONFIG, learning_rate=2e-3)}, "learning_rate"),
        (lambda labels: {"config": replace(CONFIG, seed=1, tune="head")}, "tune, seed"),
        (lambda labels: {"labels": replace(labels, sha256="0" * 64)}, "labels_sha256"),
        (lambda labels: {"labels": replace(labels, where=("view=PA",))}, "where"),
        (lambda labels: {"members": without_last(labels)}, "images"),
        (lambda labels: {"release_fold": "0"}, "release_fold"),
        (lambda labels: {"members": [whole_set(labels.images)]}, "images, members"),
    ],
    ids=["learning rate", "seed and tune", "label file", "filter", "fewer images", "release fold", "members"],
)
def test_a_folder_with_another_run_is_refused_and_says_what_differs(
    trained: Callable[..., Run], labels: LabelFile, change: Callable[[LabelFile], dict[str, Any]], named: str
) -> None:
    run = trained(only=["fold-1"])
    before = contents(run.directory)
    with pytest.raises(DatasetError, match=rf"holds another run \(differs in {named}\)"):
        trained(**change(labels))
    assert contents(run.directory) == before


def test_another_checkpoint_to_start_from_is_another_run(trained: Callable[..., Run], tmp_path: Path) -> None:
    trained(only=["fold-1"])
    with pytest.raises(DatasetError, match="differs in initial"):
        trained(initial=tiny_checkpoint(tmp_path / "other.pt"))


@pytest.mark.parametrize("mistake", ["checkpoint", "labels"])
def test_a_mistake_leaves_no_run_that_the_corrected_command_would_contradict(
    trained: Callable[..., Run], labels: LabelFile, tmp_path: Path, mistake: str
) -> None:
    unlabelled = tuple(replace(image, label=None) for image in labels.images)
    wrong = {
        "checkpoint": {"initial": tmp_path / "misspelt.pt"},
        "labels": {"members": [Member("model", None, unlabelled, ())]},
    }[mistake]
    with pytest.raises(DatasetError):
        trained(**wrong)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_an_output_error(trained: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="run"):
        trained(directory=tmp_path / "file" / "run")


def test_the_held_out_loss_is_watched_every_few_epochs_and_at_the_end(
    trained: Callable[..., Run], labels: LabelFile
) -> None:
    member = held_out_share(labels.images, 0.4, seed=0)
    run = trained(members=[member], config=tiny_config(epochs=6))
    lines = [json.loads(line) for line in (run.directory / "model" / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if "held_out_loss" in line] == [5, 6]
    table = rows(run.directory / "model" / "predictions.csv")
    logits, targets = (np.array([float(row[f"{kind}_abnormal"]) for row in table]) for kind in ("logit", "target"))
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(*map(torch.from_numpy, (logits, targets)))
    assert lines[-1]["held_out_loss"] == pytest.approx(cross_entropy.item(), abs=1e-6)


def test_the_release_fold_is_not_watched_while_its_model_trains(tiny_run: TinyRun) -> None:
    def watched(member: str) -> bool:
        return "held_out_loss" in (tiny_run.directory / member / "history.jsonl").read_text()

    assert [watched(member) for member in ("fold-0", "fold-1", "fold-2")] == [False, True, True]


def test_fourteen_findings_are_trained_and_predicted(
    trained: Callable[..., Run], labels: LabelFile, tmp_path: Path
) -> None:
    initial = tiny_checkpoint(tmp_path / "fourteen.pt", outputs=NIH_LABELS)
    run = trained(
        members=[held_out_share(labels.images, 0.4, seed=0)], config=tiny_config(task="nih14"), initial=initial
    )
    assert run.record["outputs"] == list(NIH_LABELS)
    assert load_checkpoint(run.model_path("model")).labels == NIH_LABELS
    first = rows(run.directory / "model" / "predictions.csv")[0]
    assert [name for name in first if name.startswith("logit_")] == [f"logit_{label}" for label in NIH_LABELS]


def test_without_held_out_images_the_predictions_are_empty(trained: Callable[..., Run], labels: LabelFile) -> None:
    run = trained(members=[whole_set(labels.images)])
    assert rows(run.directory / "model" / "predictions.csv") == []
    assert run.finished("model")


def test_a_new_head_comes_from_the_runs_seed_and_the_rest_from_the_checkpoint(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "fourteen.pt", outputs=NIH_LABELS)
    stored = load_checkpoint(checkpoint).model.state_dict()
    one, same, other = (initial_network(replace(CONFIG, seed=seed), checkpoint) for seed in (1, 1, 2))
    assert one.outputs == 1
    assert one.dropout.p == CONFIG.dropout
    assert torch.equal(one.head.weight, same.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)
    assert torch.equal(one.state_dict()["features.conv0.weight"], stored["features.conv0.weight"])


def test_random_weights_come_from_the_runs_seed() -> None:
    one, same, other = (
        initial_network(TrainingConfig(seed=seed), None).state_dict()["features.conv0.weight"] for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    "record",
    [
        "not json",
        "[1]",
        "{}",
        '{"schema": 2}',
        json.dumps({"schema": 1, "config": {**CONFIG.to_json(), "preprocess": {"blur": 1}}}),
    ],
    ids=["no JSON", "a list", "empty", "newer schema", "unknown preprocessing"],
)
def test_a_folder_that_holds_no_run_of_this_version_is_refused(tmp_path: Path, record: str) -> None:
    (tmp_path / "run.json").write_text(record)
    with pytest.raises(DatasetError):
        Run.open(tmp_path)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"{tmp_path} is no training run"):
        Run.open(tmp_path)
