"""Figures of a record: what they are means of, where thresholds come from, what is compared with what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_study import IMAGES, prediction

from calibration.operating_point import youden_point
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import roc_auc
from training.reproduce.paper import PAPER
from training.reproduce.plan import TEST
from training.reproduce.record import StudyHeader, StudyRecord
from training.reproduce.summary import summary_of

CELL = "full:head:linear:none"


def record_of(header: StudyHeader, logits: np.ndarray, cell: str = CELL) -> StudyRecord:
    return StudyRecord(header, tuple(prediction(cell, fold, logits) for fold in range(3)))


def test_a_figure_is_the_mean_of_its_splits(study_record: StudyRecord) -> None:
    cell = summary_of(study_record).cells[0]
    labels = np.array(study_record.header.labels)
    areas = [roc_auc(labels[list(line.held_out)], line.logits).value for line in study_record.predictions[:3]]
    assert cell.auc.value == pytest.approx(np.mean(areas))
    assert cell.auc_range == pytest.approx((min(areas), max(areas)))
    assert (cell.splits, cell.planned, cell.repeats) == (3, 3, 1)


def test_decisions_are_by_a_threshold_of_the_other_splits(header: StudyHeader) -> None:
    # In split 0 every logit is 100 higher: its own images would put the threshold there, the others' are at 0.
    logits = np.array(header.labels) - 0.5 + 100.0 * (np.arange(IMAGES) % 3 == 0)
    cell = summary_of(record_of(header, logits)).cells[0]
    lines = record_of(header, logits).predictions
    threshold = youden_point(
        [header.labels[n] for line in lines[1:] for n in line.held_out], [x for line in lines[1:] for x in line.logits]
    ).logit_threshold
    assert -0.5 < threshold < 0.5
    assert cell.specificity.value == pytest.approx(2 / 3), "all normal images of split 0 are called abnormal"
    assert (cell.sensitivity.value, cell.auc.value) == (1.0, 1.0)


def test_intervals_hold_the_figures_and_are_wider_with_fewer_patients(header: StudyHeader) -> None:
    random = np.random.default_rng(2)
    logits = 1.5 * np.array(header.labels) + random.normal(size=IMAGES)
    paired = replace(header, patients=tuple(number // 6 * 2 + number % 2 for number in range(IMAGES)))
    repeated = logits[(np.arange(IMAGES) // 6) * 6 + np.arange(IMAGES) % 2]  # images of a patient are alike
    single = summary_of(record_of(header, repeated)).cells[0]
    many = summary_of(record_of(paired, repeated)).cells[0]
    for cell in (single, many):
        for figure in (cell.auc, cell.accuracy, cell.sensitivity, cell.specificity):
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
    assert many.accuracy.high - many.accuracy.low > single.accuracy.high - single.accuracy.low


def test_variants_are_compared_with_the_whole_frame_on_the_same_patients(study_record: StudyRecord) -> None:
    summary = summary_of(study_record)
    (line,) = summary.comparisons
    assert (line.cell, line.against, line.splits) == ("body:head:linear:nih14", "full:head:linear:nih14", 3)
    first, second = summary.cells[:2]
    assert line.auc.value == pytest.approx(second.auc.value - first.auc.value)
    assert line.auc.high - line.auc.low < (first.auc.high - first.auc.low) + (second.auc.high - second.auc.low)


def test_equal_predictions_differ_by_nothing(header: StudyHeader) -> None:
    logits = np.random.default_rng(1).normal(size=IMAGES)
    lines = [record_of(header, logits, f"{v}:head:linear:none").predictions for v in ("full", "lungs")]
    (line,) = summary_of(StudyRecord(header, (*lines[0], *lines[1]))).comparisons
    assert (line.auc.value, line.auc.low, line.auc.high, line.accuracy.value) == (0, 0, 0, 0)


def test_a_cell_with_models_missing_says_so(study_record: StudyRecord) -> None:
    cell = summary_of(study_record).cells[-1]
    assert (cell.cell, cell.splits, cell.planned) == ("full:all:linear:none", 2, 3)
    assert (cell.source, cell.training) == ("run scratch", "96x3, 160x20")


def test_splits_so_small_that_a_sample_lacks_a_class_there_have_intervals_all_the_same(header: StudyHeader) -> None:
    small = replace(header, labels=header.labels[:9], patients=header.patients[:9])
    logits = np.random.default_rng(4).normal(size=IMAGES)
    whole = record_of(header, logits).predictions
    lines = [replace(line, held_out=line.held_out[:3], logits=line.logits[:3]) for line in whole]
    cell = summary_of(StudyRecord(small, tuple(lines))).cells[0]
    assert all(0 <= x.low <= x.value <= x.high <= 1 for x in (cell.auc, cell.sensitivity, cell.specificity))


def test_the_papers_setting_scores_the_test_images_alone(header: StudyHeader) -> None:
    logits = np.array(header.labels) - 0.5
    lines = [
        prediction(CELL, 0, logits, split=TEST),
        *(prediction(CELL, fold, logits, split=f"threshold-{fold}", scored=False) for fold in (1, 2)),
    ]
    summary = summary_of(StudyRecord(replace(header, paper_split=True), tuple(lines)))
    assert (summary.images, summary.cells[0].splits, summary.cells[0].planned) == (20, 1, 1)
    assert summary.cells[0].accuracy.value == 1.0


def test_without_another_split_there_is_no_threshold(header: StudyHeader) -> None:
    with pytest.raises(DatasetError, match="enough splits to choose a threshold on"):
        summary_of(StudyRecord(header, (prediction(CELL, 0, np.arange(IMAGES)),)))


def test_the_papers_figures_are_those_of_its_abstract() -> None:
    figures = (PAPER.accuracy.value, PAPER.sensitivity.value, PAPER.specificity.value)
    assert [f"{figure:.4f}" for figure in figures] == ["0.8761", "0.8909", "0.8621"]
    assert (PAPER.found + PAPER.spared, PAPER.abnormal + PAPER.normal) == (PAPER.right, PAPER.images)
