"""Decisions and the Brier score."""

from __future__ import annotations

import numpy as np
import pytest

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.intervals import wilson
from cxr_edge.evaluation.metrics import Confusion, brier_score, decision_metrics


def test_the_paper_s_test_set_gives_its_published_figures():
    # 58 normal and 55 abnormal: accuracy 0.8761, sensitivity 0.8909, specificity 0.8621.
    labels = [1] * 55 + [0] * 58
    decisions = [True] * 49 + [False] * 6 + [True] * 8 + [False] * 50
    metrics = decision_metrics(labels, decisions)
    assert metrics.confusion == Confusion(true_positive=49, false_negative=6, true_negative=50, false_positive=8)
    figures = (metrics.accuracy, metrics.sensitivity, metrics.specificity, metrics.ppv, metrics.npv)
    assert figures == (wilson(99, 113), wilson(49, 55), wilson(50, 58), wilson(49, 57), wilson(50, 56))
    assert [round(figure.value, 4) for figure in figures[:3]] == [0.8761, 0.8909, 0.8621]


@pytest.mark.parametrize(
    ("label", "given", "missing"), [(1, "sensitivity", "specificity"), (0, "specificity", "sensitivity")]
)
def test_one_class_gives_the_figure_that_it_can(label, given, missing):
    metrics = decision_metrics([label] * 4, [bool(label)] * 4)
    assert getattr(metrics, given).value == 1.0
    assert getattr(metrics, missing) is None


def test_predictive_values_without_such_decisions_are_absent():
    metrics = decision_metrics([0, 1, 1], [False, False, False])
    assert metrics.ppv is None
    assert metrics.npv.value == pytest.approx(1 / 3)


def test_repeated_patients_change_the_method_of_every_figure():
    labels, decisions = [0, 0, 1, 1] * 10, [False, True, True, True] * 10
    metrics = decision_metrics(labels, decisions, np.repeat(np.arange(20), 2))
    for figure in (metrics.sensitivity, metrics.specificity, metrics.ppv, metrics.npv, metrics.accuracy):
        assert "effective images" in figure.method or figure.method == "Wilson"
    assert "effective images" in metrics.accuracy.method


def test_brier_score_equals_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    probabilities = rng.random(200)
    labels = (rng.random(200) < probabilities).astype(int)
    interval = brier_score(labels, probabilities)
    assert interval.value == pytest.approx(metrics.brier_score_loss(labels, probabilities), abs=1e-15)


def test_brier_interval_covers_the_expected_score():
    """Calibrated uniform probabilities: the expected score is the mean of p(1 - p), 1/6."""
    rng, covered = np.random.default_rng(1), 0
    for _ in range(400):
        probabilities = rng.random(110)
        interval = brier_score(rng.random(110) < probabilities, probabilities)
        covered += interval.low <= 1 / 6 <= interval.high
    assert covered / 400 >= 0.92


def test_brier_interval_stays_within_the_range_of_the_score():
    assert brier_score([0, 0, 1], [0.0, 0.0, 0.4]).low == 0.0


def test_nothing_to_measure_is_refused():
    with pytest.raises(DatasetError, match="at least one"):
        decision_metrics([], [])
    with pytest.raises(DatasetError, match="2 labels and 1 probabilities"):
        brier_score([0, 1], [0.5])
