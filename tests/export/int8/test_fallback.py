from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from calibration.ranges import Ranges
from cxr_edge.errors import CheckFailedError, UsageError
from export.int8 import Int8Model, Int8Options, QuantisedNetwork, ShiftLimits, build_int8, within_limits
from export.int8.exactness import logits_of
from export.int8.fallback import ShiftLimit, auc_drop, fall_back, largest_probability_shift
from export.int8.sensitivity import layer_shifts

WORST = "features.denseblock3.denselayer1.layers.conv2"
LAYERS = ("features.denseblock1.denselayer1.layers.conv1", WORST, "features.transition2.conv")
Batches = tuple[np.ndarray, ...]


@pytest.fixture(scope="module")
def built(fp32: bytes, ranges: Ranges, batches: Batches) -> Int8Model:
    return build_int8(fp32, ranges, Int8Options(), batches)


@pytest.fixture(scope="module")
def spoilt(built: Int8Model) -> QuantisedNetwork:
    """Quantised, with one layer's scales four times too large."""
    worst = built.network.convolutions[WORST]
    integers = {**built.network.convolutions, WORST: replace(worst, scale=worst.scale * 4)}
    return replace(built.network, convolutions=integers)


@pytest.fixture(scope="module")
def shift(fp32: bytes, batches: Batches) -> ShiftLimit:
    return ShiftLimit("largest shift", largest_probability_shift(logits_of(fp32, batches)[0]), 0.02)


def test_the_spoilt_layer_goes_back_to_float_and_no_other(
    spoilt: QuantisedNetwork, shift: ShiftLimit, batches: Batches
) -> None:
    order = [part.name for part in layer_shifts(spoilt, batches, layers=LAYERS)]
    found = fall_back([spoilt], [shift], batches, order=order)
    assert found.kept_float == (WORST,)
    assert found.shifts[0][0] > 0.02 >= found.shifts[0][1]
    assert WORST not in found.networks[0].convolutions


def test_layers_are_ranked_only_where_a_limit_is_exceeded(
    spoilt: QuantisedNetwork, built: Int8Model, shift: ShiftLimit, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked = []
    monkeypatch.setattr(
        "export.int8.fallback.layer_shifts",
        lambda network, inputs: ranked.append(network) or layer_shifts(network, inputs, layers=LAYERS),
    )
    assert fall_back([built.network], [shift], batches).kept_float == ()
    assert ranked == []
    assert fall_back([spoilt], [shift], batches).kept_float == (WORST,)
    assert ranked == [spoilt]


def test_a_layer_that_one_file_needs_in_float_is_in_float_in_both(
    built: Int8Model, spoilt: QuantisedNetwork, shift: ShiftLimit, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "export.int8.fallback.layer_shifts", lambda network, inputs: layer_shifts(spoilt, inputs, layers=LAYERS)
    )
    models, record = within_limits([built, replace(built, network=spoilt)], [shift], batches)
    assert record["kept_float"] == [WORST]
    assert all(WORST not in model.network.convolutions for model in models)
    assert record["limits"][0]["measured"][0] > 0.02 >= record["limits"][0]["measured"][1]
    for model in models:
        assert shift.measure(logits_of(model.model, batches)[0]) <= 0.02
        assert model.to_json()["quantised_convolutions"] == len(built.network.convolutions) - 1


def test_models_that_hold_their_limits_stay_the_bytes_that_they_were(
    built: Int8Model, shift: ShiftLimit, batches: Batches
) -> None:
    (model,), record = within_limits([built], [shift], batches)
    assert model is built
    assert (record["kept_float"], len(record["limits"][0]["measured"])) == ([], 1)


def test_a_limit_that_cannot_be_met_is_an_error_that_names_the_measure(
    spoilt: QuantisedNetwork, shift: ShiftLimit, batches: Batches
) -> None:
    never = ShiftLimit("AUC drop", lambda logits: 0.5, 0.01)
    with pytest.raises(CheckFailedError, match="AUC drop .* with 1 layers kept in float, still 0.5"):
        fall_back([spoilt], [replace(shift, allowed=1.0), never], batches, order=LAYERS, most=1)
    with pytest.raises(CheckFailedError, match="nan"):
        broken = replace(never, measure=lambda logits: math.nan)
        fall_back([spoilt], [broken], batches, order=LAYERS[:1])


def test_without_images_nothing_is_measured(spoilt: QuantisedNetwork, shift: ShiftLimit) -> None:
    with pytest.raises(UsageError, match="give the inputs"):
        fall_back([spoilt], [shift], (), order=LAYERS)


def test_the_drop_of_the_auc_is_that_of_the_labelled_images() -> None:
    expected = np.array([[0.0], [1.0], [2.0], [3.0], [9.0]], np.float32)
    drop = auc_drop(expected, [0, 0, 1, 1, None])
    assert drop(expected) == 0.0
    assert drop(expected[[0, 2, 1, 3, 4]]) == pytest.approx(0.25)  # one of four pairs is the wrong way round
    assert drop(-expected) == 1.0


@pytest.mark.parametrize("labels", [[1, 1, 1], [None, None, None], [0, None, 0]])
def test_an_auc_of_one_class_is_refused(labels: list[int | None]) -> None:
    with pytest.raises(UsageError, match="both classes"):
        ShiftLimits(max_auc_drop=0.01).measured_against(np.zeros((3, 1), np.float32), labels, 1.0)


def test_a_temperature_above_one_makes_the_same_shift_smaller() -> None:
    expected = np.array([[0.0]], np.float32)
    (cold,), (warm,) = (
        ShiftLimits(max_probability_shift=0.1).measured_against(expected, [None], value) for value in (1.0, 2.0)
    )
    assert cold.measure(expected + 1) == pytest.approx(1 / (1 + math.exp(-1)) - 0.5)
    assert warm.measure(expected + 1) == pytest.approx(1 / (1 + math.exp(-0.5)) - 0.5)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_auc_drop": -0.01},
        {"max_auc_drop": 1.5},
        {"max_auc_drop": math.nan},
        {"max_probability_shift": 0.0},
        {"max_probability_shift": math.inf},
        {"max_probability_shift": math.nan},
    ],
)
def test_a_limit_that_is_no_share_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="cannot be allowed to"):
        ShiftLimits(**limits)
