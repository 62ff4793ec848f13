from __future__ import annotations

import numpy as np
import pytest

from calibration.probability import fit_temperature
from calibration.site import FOLDS, PointRule, cross_fit, patient_folds
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import Predictions

YOUDEN = (PointRule("youden"),)


def drawn(images: int, patients: int, seed: int = 0) -> Predictions:
    """Predictions of several images a patient; the labels follow the logits with some noise."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 2.0, images)
    labels = (rng.random(images) < 1 / (1 + np.exp(-logits))).astype(int)
    return Predictions.of(labels, logits, [f"p{number % patients}" for number in range(images)])


def test_a_patient_lies_in_one_fold_and_every_fold_has_both_classes() -> None:
    predictions = drawn(200, 70)
    fold = patient_folds(predictions)
    assert predictions.patients is not None
    assert len(set(zip(predictions.patients, fold.tolist(), strict=True))) == 70
    for number in range(FOLDS):
        assert set(predictions.labels[fold == number]) == {0, 1}


def test_folds_of_single_images_differ_by_one_at_most() -> None:
    sizes = np.bincount(patient_folds(drawn(203, 203)), minlength=FOLDS)
    assert sizes.max() - sizes.min() <= 1


def test_an_images_own_fold_never_touches_what_it_is_judged_by() -> None:
    predictions = drawn(120, 120)
    crossed = cross_fit(predictions, YOUDEN)
    inside = crossed.fold == 3
    spoilt = predictions.logits.copy()
    spoilt[inside] = -50.0 * (2 * predictions.labels[inside] - 1)  # as wrong as can be
    again = cross_fit(Predictions.of(predictions.labels, spoilt, predictions.patients), YOUDEN)
    assert (again.temperature[inside] == crossed.temperature[inside]).all()
    assert (again.thresholds["youden"][inside] == crossed.thresholds["youden"][inside]).all()
    assert (again.temperature[~inside] != crossed.temperature[~inside]).all()


def test_each_fold_has_the_temperature_of_the_others() -> None:
    predictions = drawn(120, 120)
    crossed = cross_fit(predictions, YOUDEN)
    others = predictions.chosen(crossed.fold != 0)
    expected = fit_temperature(others.labels, others.logits).temperature.value
    assert crossed.fold_temperatures()[0] == expected
    assert len(crossed.fold_temperatures()) == FOLDS


def test_calibrated_logits_are_divided_image_by_image() -> None:
    predictions = drawn(120, 120)
    crossed = cross_fit(predictions, YOUDEN)
    assert np.array_equal(crossed.calibrated(predictions).logits, predictions.logits / crossed.temperature)


def test_a_class_of_fewer_patients_than_folds_is_refused() -> None:
    labels = [1] * 30 + [0] * 30
    patients = [f"ill{number % 4}" for number in range(30)] + [f"well{number}" for number in range(30)]
    with pytest.raises(DatasetError, match="abnormal images come from 4 patient"):
        cross_fit(Predictions.of(labels, np.arange(60.0), patients), YOUDEN)
