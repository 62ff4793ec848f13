"""Cells taken from finished runs: the run's own numbers, or a refusal that says what differs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import TinyRun, finished_run

from cxr_edge.errors import DatasetError, UsageError
from training.reproduce.entry import ReproductionOptions, reproduce_from_options
from training.reproduce.material import StudyWatcher

CELL = "full:all:linear:nih14"
Options = Callable[..., ReproductionOptions]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Three folds of which fold 0 is released, PA views, started from a checkpoint."""
    return finished_run(tmp_path_factory.getbasetemp())


@pytest.fixture
def same(options: Options, run: TinyRun) -> ReproductionOptions:
    """The options of the study that the run is a cell of."""
    return options(
        data=run.labels,
        where=("view=PA",),
        nih14=run.initial,
        tune=("all",),
        release_fold="0",
        use_run=(f"{CELL}={run.directory}",),
    )


def test_a_runs_predictions_stand_for_its_cell(same: ReproductionOptions, run: TinyRun) -> None:
    record = reproduce_from_options(same, StudyWatcher())
    assert [(line.split, line.source) for line in record.predictions] == [("1", "run run"), ("2", "run run")]
    with (run.directory / "fold-1" / "predictions.csv").open(newline="") as file:
        told = [float(row["logit_abnormal"]) for row in csv.DictReader(file)]
    assert record.predictions[0].logits == pytest.approx(told, rel=1e-6)
    assert record.predictions[0].config["stages"] == [{"size": 32, "epochs": 3}]


def test_what_was_taken_from_a_run_stays_when_it_is_not_named_again(same: ReproductionOptions) -> None:
    record = reproduce_from_options(same, StudyWatcher())
    assert reproduce_from_options(replace(same, use_run=()), StudyWatcher()) == record


@pytest.mark.parametrize(
    ("cell", "changes", "differing"),
    [
        ("body:all:linear:nih14", {}, "variant"),
        ("full:head:linear:nih14", {}, "tuned layers"),
        ("full:all:hidden:nih14", {}, "head"),
        ("full:all:linear:none", {"starts": ("none",)}, "start"),
        (CELL, {"where": ()}, "filters"),
        (CELL, {"release_fold": "1"}, "release fold"),
        (CELL, {"release_fold": None}, "release fold"),
    ],
)
def test_a_run_of_another_experiment_is_refused(
    same: ReproductionOptions, run: TinyRun, cell: str, changes: dict[str, object], differing: str
) -> None:
    asked = replace(same, use_run=(f"{cell}={run.directory}",), **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=rf"another experiment \(other {differing}\)"):
        reproduce_from_options(asked, StudyWatcher())


def test_a_run_on_another_label_file_is_refused(same: ReproductionOptions, run: TinyRun) -> None:
    other = run.labels.parent / "other.csv"
    other.write_text(run.labels.read_text().replace("p1,", "p99,"))
    with pytest.raises(UsageError, match=r"other label file"):
        reproduce_from_options(replace(same, data=other), StudyWatcher())


@pytest.mark.parametrize("setting", ["runs/scratch", f"{CELL}=", "full:all=runs/scratch"])
def test_settings_of_another_form_are_refused(same: ReproductionOptions, setting: str) -> None:
    with pytest.raises(UsageError, match=r"give CELL=RUN|names no cell"):
        reproduce_from_options(replace(same, use_run=(setting,)), StudyWatcher())


def test_a_start_that_was_not_given_cannot_be_checked(same: ReproductionOptions) -> None:
    with pytest.raises(UsageError, match="give --nih14 too"):
        reproduce_from_options(replace(same, nih14=None, starts=("none",)), StudyWatcher())


def test_a_folder_without_a_run_is_refused(same: ReproductionOptions, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no training run"):
        reproduce_from_options(replace(same, use_run=(f"{CELL}={tmp_path}",)), StudyWatcher())
