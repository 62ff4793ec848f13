"""Probability, decision and their JSON forms."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_edge.errors import BundleError, EngineError, UsageError
from cxr_edge.probability import Interval, OperatingPoint, Temperature, calibrated_probability, logit_at_probability

LOGITS = st.floats(-50, 50)
TEMPERATURES = st.floats(0.05, 20).map(Temperature)
POINT = OperatingPoint("youden", -0.25, Interval(0.9, 0.8, 0.95, "Wilson"), None, "largest Youden index")


@pytest.mark.parametrize(
    ("logit", "temperature", "expected"),
    [(0.0, 1.0, 0.5), (math.log(3), 1.0, 0.75), (2 * math.log(3), 2.0, 0.75), (-math.log(3), 1.0, 0.25)],
)
def test_probability_is_the_sigmoid_of_the_logit_over_the_temperature(logit, temperature, expected):
    assert calibrated_probability(logit, Temperature(temperature)) == pytest.approx(expected, abs=1e-15)


def test_extreme_logits_neither_overflow_nor_lose_small_probabilities():
    probabilities = calibrated_probability(np.array([-1000.0, -100.0, 100.0, 1000.0]), Temperature(1.0))
    assert probabilities[0] == 0.0
    assert probabilities[1] == pytest.approx(math.exp(-100), rel=1e-12)
    assert probabilities[2:].tolist() == [1.0, 1.0]


@settings(deadline=None, max_examples=50)
@given(st.lists(LOGITS, min_size=1, max_size=40), TEMPERATURES)
def test_an_array_gives_the_same_bits_as_its_numbers_one_by_one(logits, temperature):
    together = calibrated_probability(np.array(logits), temperature)
    assert together.tolist() == [calibrated_probability(logit, temperature) for logit in logits]


@settings(deadline=None, max_examples=50)
@given(LOGITS, LOGITS, TEMPERATURES)
def test_temperature_never_changes_the_order(one, other, temperature):
    if one < other:
        assert calibrated_probability(one, temperature) <= calibrated_probability(other, temperature)


@settings(deadline=None, max_examples=50)
@given(st.floats(1e-6, 1 - 1e-6), TEMPERATURES)
def test_logit_at_probability_inverts_the_probability(probability, temperature):
    logit = logit_at_probability(probability, temperature)
    assert calibrated_probability(logit, temperature) == pytest.approx(probability, rel=1e-9)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, math.nan])
def test_probabilities_without_a_finite_logit_are_refused(probability):
    with pytest.raises(UsageError, match="strictly between 0 and 1"):
        logit_at_probability(probability, Temperature())


def test_the_threshold_itself_is_abnormal():
    point = OperatingPoint("p", 0.5)
    assert point.label(0.5) == "abnormal"
    assert point.label(math.nextafter(0.5, 0)) == "normal"


def test_float32_logits_decide_as_their_exact_value_does():
    # float32(0.1) is above 0.1: rounding this threshold to float32 instead would call the logit abnormal.
    logit = np.float32(0.1)
    point = OperatingPoint("p", math.nextafter(float(logit), 1))
    assert point.label(float(logit)) == "normal"
    assert not point.is_abnormal(np.array([logit]))[0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_logit_that_is_not_finite_gives_no_probability_and_no_decision(bad):
    with pytest.raises(EngineError, match="1 of 2 logits are not finite"):
        calibrated_probability(np.array([0.0, bad]), Temperature())
    with pytest.raises(EngineError):
        POINT.label(bad)


@pytest.mark.parametrize("record", [Temperature(1.37), POINT, Interval(0.5, 0.25, 1.0, "Wilson")])
def test_json_round_trip_gives_an_equal_record(record):
    text = json.dumps(record.to_json(), allow_nan=False)
    assert type(record).from_json(json.loads(text)) == record


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, True, "1", None, 10**400])
def test_unusable_temperatures_are_refused(value):
    with pytest.raises(BundleError):
        Temperature.from_json({"temperature": value})


@pytest.mark.parametrize(
    "change",
    [
        {"logit_threshold": math.nan},
        {"logit_threshold": "0"},
        {"name": " "},
        {"name": 3},
        {"rule": None},
        {"sensitivity": {"value": 0.5, "low": 0.6, "high": 0.4, "method": ""}},
        {"sensitivity": 0.9},
        {"specificity": {"value": 0.5}},
        {"colour": "red"},
    ],
)
def test_unusable_operating_points_are_refused(change):
    with pytest.raises(BundleError):
        OperatingPoint.from_json({**POINT.to_json(), **change})


@pytest.mark.parametrize("section", [None, [], "youden", {}])
def test_sections_of_another_form_are_refused(section):
    for record in (Temperature, OperatingPoint, Interval):
        with pytest.raises(BundleError):
            record.from_json(section)
