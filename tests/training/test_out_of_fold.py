from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_run import tiny_config

from calibration.operating_point import youden_point
from calibration.probability import fit_temperature
from cxr_edge.errors import DatasetError
from training.out_of_fold import write_out_of_fold
from training.run import Run

PER_FOLD = 12
Row = dict[str, str]


def finished_run(directory: Path, folds: int, release_fold: str | None, changed: Callable[[str], bool]) -> Run:
    """A run with made-up predictions; the labels of images of the folds named by ``changed`` are turned round."""
    rng = np.random.default_rng(0)
    for number in range(folds):
        fold, labels = str(number), np.arange(PER_FOLD) % 2
        logits = 1.5 * labels + rng.normal(0, 1.5, PER_FOLD) + number
        (directory / f"fold-{fold}").mkdir(parents=True)
        with (directory / f"fold-{fold}" / "predictions.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "patient_id", "fold", "target_abnormal", "logit_abnormal"])
            for i, (label, logit) in enumerate(zip(labels, logits, strict=True)):
                target = 1 - label if changed(fold) else label
                writer.writerow([f"{fold}-{i}.png", f"d/{fold}-{i}", fold, target, repr(float(logit))])
    members = {f"fold-{fold}": str(fold) for fold in range(folds)}
    return Run(directory, tiny_config(), members, release_fold, (), {})


def table(
    directory: Path,
    *,
    folds: int = 4,
    release_fold: str | None = "0",
    changed: Callable[[str], bool] = lambda fold: False,
) -> list[Row]:
    write_out_of_fold(finished_run(directory, folds, release_fold, changed))
    with (directory / "out_of_fold.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def fitted(rows: list[Row], folds: str) -> list[tuple[str, str]]:
    """Temperature and threshold beside each image of the folds."""
    return [(row["temperature"], row["logit_threshold"]) for row in rows if row["fold"] in folds]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The table of four folds of which fold 0 is released."""
    return table(tmp_path_factory.mktemp("plain"))


def test_every_image_stands_in_it_once_with_its_prediction(plain: list[Row], tmp_path: Path) -> None:
    assert len({row["file"] for row in plain}) == len(plain) == 4 * PER_FOLD
    run = finished_run(tmp_path, 4, "0", lambda fold: False)
    for member, fold in run.members.items():
        with (tmp_path / member / "predictions.csv").open(newline="") as file:
            expected = {row["file"]: (row["logit_abnormal"], row["target_abnormal"]) for row in csv.DictReader(file)}
        assert {row["file"]: (row["logit"], row["label"]) for row in plain if row["fold"] == fold} == expected


@pytest.mark.parametrize(
    ("fold", "fitting"), [("0", "123"), ("1", "23"), ("3", "12")], ids=["release fold", "fold 1", "fold 3"]
)
def test_temperature_and_threshold_are_those_of_the_other_development_folds(
    plain: list[Row], fold: str, fitting: str
) -> None:
    others = [row for row in plain if row["fold"] in fitting]
    columns = (
        [int(row["label"]) for row in others],
        [float(row["logit"]) for row in others],
        [row["patient"] for row in others],
    )
    temperature, threshold = fit_temperature(*columns).temperature.value, youden_point(*columns).logit_threshold
    assert fitted(plain, fold) == [(repr(temperature), repr(threshold))] * PER_FOLD


def test_the_labels_of_the_release_fold_decide_nothing(plain: list[Row], tmp_path: Path) -> None:
    turned = table(tmp_path, changed=lambda fold: fold == "0")
    assert [row["label"] for row in plain if row["fold"] == "0"] != [
        row["label"] for row in turned if row["fold"] == "0"
    ]
    assert fitted(plain, "0123") == fitted(turned, "0123")


def test_the_labels_of_a_fold_decide_about_the_others_but_not_about_itself(plain: list[Row], tmp_path: Path) -> None:
    turned = table(tmp_path, changed=lambda fold: fold == "2")
    assert fitted(plain, "2") == fitted(turned, "2")
    for fold in "013":
        assert fitted(plain, fold) != fitted(turned, fold)


def test_without_a_release_fold_every_other_fold_is_fitted_on(plain: list[Row], tmp_path: Path) -> None:
    rows = table(tmp_path, release_fold=None)
    assert fitted(rows, "0") == fitted(plain, "0")
    assert fitted(rows, "1") != fitted(plain, "1")


def test_one_development_fold_leaves_nothing_to_fit_on(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="at least two development folds"):
        table(tmp_path, folds=2)
    assert not (tmp_path / "out_of_fold.csv").exists()
