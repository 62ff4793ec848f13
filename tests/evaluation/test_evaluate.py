"""The whole evaluation: figures, subgroups, JSON, text."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.evaluation import Predictions, evaluate, evaluation_text, subgroup_table
from cxr_edge.probability import OperatingPoint, Temperature

POINT, TEMPERATURE = OperatingPoint("youden", 0.0), Temperature(1.5)


def predictions(n=120, seed=0, **columns):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) < n // 2).astype(int)
    return Predictions.of(labels, rng.normal(size=n) * 1.5 + 3 * labels - 1.5, columns=columns)


def table(column, cells, labels=None):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, len(cells)) if labels is None else labels
    some = Predictions.of(labels, rng.normal(size=len(cells)), columns={column: cells})
    return subgroup_table(some, column, TEMPERATURE, POINT)


def test_figures_are_those_of_the_single_functions():
    some = predictions()
    evaluation = evaluate(some, TEMPERATURE, POINT)
    called = some.logits >= 0
    assert evaluation.decisions.sensitivity.value == called[some.labels == 1].mean()
    assert (evaluation.images, evaluation.abnormal, evaluation.patients) == (120, 60, 120)
    assert 0.8 < evaluation.auc.value < 1.0


def test_temperature_changes_probabilities_and_no_decision():
    some = predictions()
    cold, hot = evaluate(some, Temperature(0.5), POINT), evaluate(some, Temperature(4.0), POINT)
    assert cold.decisions == hot.decisions
    assert cold.auc == hot.auc
    assert cold.brier != hot.brier
    assert cold.calibration_line.slope.value == pytest.approx(hot.calibration_line.slope.value / 8)


@pytest.mark.parametrize(("label", "given", "missing"), [(1, "sensitivity", "specificity"), (0, "specificity", "auc")])
def test_one_class_is_evaluated_as_far_as_it_goes(label, given, missing):
    evaluation = evaluate(Predictions.of([label] * 5, np.arange(5.0) - 2), TEMPERATURE, POINT)
    record = evaluation.to_json()
    assert record["auc"] is None
    assert record["calibration_line"] is None
    assert record["decisions"][given]["value"] in (0.6, 0.4)
    assert record["decisions"].get(missing) is None
    assert "AUC                    n/a" in evaluation_text(evaluation)


def test_a_single_image_can_be_evaluated():
    evaluation = evaluate(Predictions.of([1], [2.0]), TEMPERATURE, POINT)
    assert evaluation.decisions.accuracy.value == 1.0
    assert evaluation.brier.method == "none: one patient"
    json.dumps(evaluation.to_json(), allow_nan=False)


def test_json_is_strict_and_complete():
    evaluation = evaluate(predictions(sex=["F", "M"] * 60), TEMPERATURE, POINT, ["sex"], stamp="seen")
    record = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert record["temperature"] == 1.5
    assert record["auc"]["low"] < record["auc"]["value"] < record["auc"]["high"]
    assert [group["name"] for group in record["subgroups"][0]["subgroups"]] == ["F", "M"]
    assert record["stamp"] == "seen"


def test_text_shows_every_figure_with_its_interval_and_aligned_columns():
    evaluation = evaluate(predictions(sex=["F", "M"] * 60), TEMPERATURE, POINT, ["sex"])
    text = evaluation_text(evaluation)
    assert f"AUC                    {evaluation.auc.value:.3f} [{evaluation.auc.low:.3f}" in text
    for name in (
        "sensitivity",
        "specificity",
        "PPV",
        "NPV",
        "accuracy",
        "Brier",
        "slope",
        "intercept",
        "ECE",
        "by sex",
    ):
        assert name in text
    lines = text.splitlines()
    start = lines.index(next(line for line in lines if line.startswith("AUC")))
    assert len({line.index("[") for line in lines[start : start + 9]}) == 1
    assert max(map(len, lines)) <= 120


def test_the_stamp_comes_first():
    text = evaluation_text(evaluate(predictions(), TEMPERATURE, POINT, stamp="seen in training: not evidence"))
    assert text.startswith("*** seen in training: not evidence ***\n")


def test_ages_fall_into_three_bands_and_unreadable_ones_are_not_stated():
    ages = table("age", ["12", "39", "40", "59.5", "60", "101", "", "unknown"])
    assert [(group.name, group.images) for group in ages.subgroups] == [
        ("< 40", 2),
        ("40 to < 60", 2),
        (">= 60", 2),
        ("not stated", 2),
    ]


def test_other_numbers_are_cut_at_their_terciles():
    doses = table("dose", [str(i / 10) for i in range(30)])
    assert [group.images for group in doses.subgroups] == [10, 10, 10]
    assert doses.rule == "cut at the terciles"


def test_a_code_of_few_numbers_is_not_cut():
    assert [group.name for group in table("fold", ["0", "1", "2"] * 5).subgroups] == ["0", "1", "2"]


def test_an_image_counts_under_each_of_its_findings():
    findings = table("finding_labels", ["Mass|Edema", "Mass", "No Finding", ""], labels=[1, 1, 0, 0])
    assert {group.name: group.images for group in findings.subgroups} == {
        "Edema": 1,
        "Mass": 2,
        "No Finding": 1,
        "not stated": 1,
    }


def test_a_subgroup_of_one_class_shows_what_it_can():
    groups = {group.name: group for group in table("sex", ["F", "F", "M", "M"], labels=[1, 1, 0, 1]).subgroups}
    assert groups["F"].auc is None
    assert groups["F"].specificity is None
    assert groups["F"].sensitivity is not None
    assert groups["M"].auc is not None
    assert (groups["F"].images, groups["F"].abnormal) == (2, 2)


def test_too_many_values_and_missing_columns_are_usage_errors():
    with pytest.raises(UsageError, match="has 31 different values"):
        table("hospital", [f"h{i}" for i in range(31)])
    with pytest.raises(UsageError, match="no column 'race' for subgroups; there are: sex"):
        evaluate(predictions(sex=["F"] * 120), TEMPERATURE, POINT, ["race"])


def test_patients_follow_their_images_into_subgroups():
    some = Predictions.of([0, 1, 0, 1], [0.0, 1.0, 2.0, 3.0], ["a", "a", "b", "c"], {"sex": ["F", "F", "M", "M"]})
    assert [group.patients for group in subgroup_table(some, "sex", TEMPERATURE, POINT).subgroups] == [1, 2]


@pytest.mark.parametrize(
    ("labels", "logits", "message"),
    [
        ([], [], "n at least 1"),
        ([0, 1], [0.0], "need"),
        ([0, 2], [0.0, 1.0], "other values than 0"),
        ([0, 1], [0.0, math.nan], "1 of 2 logits are not finite"),
        ([[0], [1]], [[0.0], [1.0]], "need"),
    ],
)
def test_predictions_that_make_no_sense_are_refused(labels, logits, message):
    with pytest.raises(DatasetError, match=message):
        Predictions.of(labels, logits)


def test_a_column_of_another_length_is_refused():
    with pytest.raises(DatasetError, match="column 'sex' has 1 cells for 2 images"):
        Predictions.of([0, 1], [0.0, 1.0], columns={"sex": ["F"]})
