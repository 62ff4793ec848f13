"""Intervals when images of one patient repeat."""

from __future__ import annotations

import numpy as np
import pytest

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.intervals import clopper_pearson, wilson
from cxr_edge.evaluation.patients import mean_interval, patient_index, proportion, variance_of_mean


def test_one_image_a_patient_gives_wilson():
    flags = np.arange(20) < 17
    assert proportion(flags, patient_index(None, 20)) == wilson(17, 20)
    assert proportion(flags, patient_index([f"p{i}" for i in range(20)], 20)) == wilson(17, 20)


def test_copies_of_every_image_do_not_make_the_interval_narrower_than_the_patients_allow():
    flags = np.arange(40) < 30
    patients = patient_index(np.tile(np.arange(40), 5), 200)
    five_times = proportion(np.tile(flags, 5), patients)
    assert five_times.value == 0.75
    # k/(k-1) makes it a hair wider than the exact interval of 40 patients.
    assert five_times.low == pytest.approx(clopper_pearson(30, 40).low, abs=0.005)
    assert five_times.high == pytest.approx(clopper_pearson(30, 40).high, abs=0.005)


def test_without_any_failure_the_images_of_a_patient_count_as_alike():
    interval = proportion(np.ones(30, dtype=bool), patient_index(np.repeat(np.arange(10), 3), 30))
    assert interval.low == pytest.approx(clopper_pearson(10, 10).low)
    assert interval.method == "Clopper-Pearson, 10.0 effective images"


def test_one_patient_alone_says_next_to_nothing():
    patients = patient_index(["p"] * 8, 8)
    interval = proportion(np.arange(8) < 6, patients)
    assert interval.low < 0.05
    assert interval.high > 0.95
    assert mean_interval([0.2] * 8, patients, 0.0, 1.0).method == "none: one patient"


def test_no_outcomes_give_no_proportion():
    assert proportion([], patient_index(None, 0)) is None


def test_variance_between_patients_is_the_usual_one_when_none_repeats():
    values = np.random.default_rng(0).random(50)
    assert variance_of_mean(values, patient_index(None, 50)) == pytest.approx(values.var(ddof=1) / 50)


def test_intervals_between_patients_cover_where_naive_ones_do_not():
    """Patients with four images that share their difficulty; the truth is known to be 0.8."""
    rng = np.random.default_rng(7)
    patients = patient_index(np.repeat(np.arange(60), 4), 240)
    covered = naive = 0
    for _ in range(300):
        skill = rng.beta(1.6, 0.4, 60)
        flags = rng.random(240) < np.repeat(skill, 4)
        ours, independent = proportion(flags, patients), wilson(int(flags.sum()), 240)
        covered += ours.low <= 0.8 <= ours.high
        naive += independent.low <= 0.8 <= independent.high
    assert covered / 300 >= 0.92
    assert naive / 300 < 0.88


def test_another_number_of_ids_than_of_images_is_refused():
    with pytest.raises(DatasetError, match="one id an image"):
        patient_index(["a", "b"], 3)
