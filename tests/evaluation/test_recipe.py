"""A recipe's figures against scikit-learn and scipy, from an out-of-fold table as training writes it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.recipe import evaluate_recipe, mean_over_folds, recipe_text, student_t_quantile

COLUMNS = ("file", "patient", "fold", "label", "logit", "temperature", "logit_threshold")
FITTED = {"0": (1.7, -0.2), "1": (0.8, 0.4), "2": (1.1, 0.1)}
"""Temperature and threshold beside the images of each fold."""


def rows(per_fold: int = 40, folds: tuple[str, ...] = ("0", "1", "2")) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    made = []
    for fold in folds:
        for number in range(per_fold):
            label = number % 2
            logit = float(rng.normal(1.2 * label - 0.5, 1.5))
            name = f"{fold}-{number}"
            made.append(dict(zip(COLUMNS, (f"{name}.png", name, fold, label, repr(logit), *FITTED[fold]), strict=True)))
    return made


def written(folder: Path, table: list[dict[str, object]], release_fold: str | None = None) -> Path:
    (folder / "run.json").write_text(json.dumps({"release_fold": release_fold}))
    with (folder / "out_of_fold.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(table)
    return folder


def columns(table: list[dict[str, object]]) -> dict[str, np.ndarray]:
    return {name: np.array([float(str(row[name])) for row in table]) for name in COLUMNS[3:]}


def test_each_fold_is_judged_at_the_threshold_beside_its_images(tmp_path: Path) -> None:
    recipe = evaluate_recipe(written(tmp_path, rows()))
    assert [(fold.fold, fold.images) for fold in recipe.folds] == [("0", 40), ("1", 40), ("2", 40)]
    for figures in recipe.folds:
        c = columns([row for row in rows() if row["fold"] == figures.fold])
        assert figures.auc.value == pytest.approx(roc_auc_score(c["label"], c["logit"]))
        assert figures.accuracy.value == accuracy_score(c["label"], c["logit"] >= FITTED[figures.fold][1])
        assert figures.auc.low < figures.auc.value < figures.auc.high


def test_pooled_figures_use_every_models_own_temperature_and_threshold(tmp_path: Path) -> None:
    recipe, c = evaluate_recipe(written(tmp_path, rows())), columns(rows())
    calibrated, decided = c["logit"] / c["temperature"], c["logit"] >= c["logit_threshold"]
    assert recipe.auc.value == pytest.approx(roc_auc_score(c["label"], calibrated))
    assert recipe.auc.value != pytest.approx(roc_auc_score(c["label"], c["logit"]))
    assert recipe.brier.value == pytest.approx(brier_score_loss(c["label"], 1 / (1 + np.exp(-calibrated))))
    (tn, fp), (fn, tp) = confusion_matrix(c["label"], decided)
    confusion = recipe.decisions.confusion
    assert (confusion.true_negative, confusion.false_positive) == (tn, fp)
    assert (confusion.false_negative, confusion.true_positive) == (fn, tp)


def test_the_mean_over_folds_has_the_t_interval_of_their_figures(tmp_path: Path) -> None:
    recipe = evaluate_recipe(written(tmp_path, rows()))
    aucs = [fold.auc.value for fold in recipe.folds]
    low, high = stats.t.interval(0.95, len(aucs) - 1, np.mean(aucs), stats.sem(aucs))
    assert recipe.mean_auc.value == pytest.approx(np.mean(aucs))
    assert (recipe.mean_auc.low, recipe.mean_auc.high) == pytest.approx((max(low, 0), min(high, 1)))


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 10, 30, 1000])
def test_the_quantile_of_students_t_is_exact(freedom: int) -> None:
    assert student_t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def test_an_interval_of_folds_stays_between_zero_and_one() -> None:
    interval = mean_over_folds([0.99, 0.80])
    assert (interval.low, interval.high) == (0.0, 1.0)
    assert interval.value == pytest.approx(0.895)


def test_further_images_of_the_same_patients_do_not_narrow_the_intervals(tmp_path: Path) -> None:
    def shared(table: list[dict[str, object]]) -> list[dict[str, object]]:
        copies = [{**row, "file": f"again-{row['file']}"} for row in table]
        return [*table, *copies]

    (tmp_path / "copies").mkdir()
    alone = evaluate_recipe(written(tmp_path, rows()))
    copied = evaluate_recipe(written(tmp_path / "copies", shared(rows())))
    assert copied.auc.value == pytest.approx(alone.auc.value)
    assert copied.auc.high - copied.auc.low == pytest.approx(alone.auc.high - alone.auc.low, rel=0.02)


def test_the_release_fold_is_left_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Recipes are chosen by these figures, and the release fold may choose nothing."""
    run = written(tmp_path, rows(), release_fold="1")
    chosen_by, reported = evaluate_recipe(run), evaluate_recipe(run, with_release_fold=True)
    assert [fold.fold for fold in chosen_by.folds] == ["0", "2"] and chosen_by.left_out == "1"
    assert [fold.fold for fold in reported.folds] == ["0", "1", "2"] and reported.left_out is None
    assert "release fold 1 left out" in recipe_text(chosen_by)
    kept = [row for row in rows() if row["fold"] != "1"]
    (tmp_path / "two").mkdir()
    assert chosen_by.auc == evaluate_recipe(written(tmp_path / "two", kept)).auc


def test_the_text_shows_every_figure_and_every_fold(tmp_path: Path) -> None:
    recipe = evaluate_recipe(written(tmp_path, rows()))
    text = recipe_text(recipe)
    assert "120 images in 3 folds" in text
    for figure in (recipe.auc, recipe.mean_auc, recipe.decisions.sensitivity, recipe.brier, recipe.folds[2].auc):
        assert str(figure) in text
    assert "nan" not in text


def test_separated_classes_have_no_calibration_slope(tmp_path: Path) -> None:
    table = [{**row, "logit": 2.0 * int(str(row["label"])) - 1.0 + 0.001 * i} for i, row in enumerate(rows())]
    recipe = evaluate_recipe(written(tmp_path, table))
    assert recipe.calibration_line is None
    assert any(line.split() == ["calibration", "slope", "n/a"] for line in recipe_text(recipe).splitlines())


def test_the_figures_are_json(tmp_path: Path) -> None:
    recipe = evaluate_recipe(written(tmp_path, rows()))
    stored = json.loads(json.dumps(recipe.to_json(), allow_nan=False))
    assert stored["auc"]["value"] == recipe.auc.value
    assert [fold["fold"] for fold in stored["folds"]] == ["0", "1", "2"]


def test_a_run_without_a_table_is_called_unfinished(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not a finished cross-validation"):
        evaluate_recipe(tmp_path)


@pytest.mark.parametrize(
    "table",
    [[{**rows()[0], "logit": "high"}], [{**rows()[0], "label": ""}]],
    ids=["a logit that is no number", "no label"],
)
def test_a_damaged_table_is_refused(tmp_path: Path, table: list[dict[str, object]]) -> None:
    with pytest.raises(DatasetError, match="is not a table of out-of-fold predictions"):
        evaluate_recipe(written(tmp_path, table))


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out_of_fold.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match="is not a table of out-of-fold predictions"):
        evaluate_recipe(tmp_path)


@pytest.mark.parametrize("folds", [(), ("1",)], ids=["no rows", "one fold"])
def test_fewer_than_two_folds_are_no_cross_validation(tmp_path: Path, folds: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError, match="fewer than two folds"):
        evaluate_recipe(written(tmp_path, rows(folds=folds)))
