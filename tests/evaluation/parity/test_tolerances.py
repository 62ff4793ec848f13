from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from cxr_edge.bundle import PRECISIONS, ModelEntry, Tolerances
from cxr_edge.errors import BundleError
from cxr_edge.evaluation import Predictions
from cxr_edge.evaluation.parity import DEFAULT_TOLERANCES, Check, Outputs, agreement, checks, inferiority, tolerances_of
from cxr_edge.evaluation.parity.tolerances import artefact_of, loosened
from cxr_edge.probability import Interval, OperatingPoint, Temperature

INT8 = DEFAULT_TOLERANCES["int8"]
POINT = OperatingPoint("zero", 0.0)
LOGITS = np.random.default_rng(2).normal(0.0, 3.0, 300)
CAMS = np.random.default_rng(4).normal(size=(300, 7, 7))
SLOPE = Interval(1.0, 0.9, 1.1, "Wald")


def judged(
    logits: np.ndarray, cams: np.ndarray = CAMS, temperature: float = 1.0, slope: Interval | None = SLOPE
) -> dict[str, Check]:
    before = Predictions.of(np.arange(300) % 2, LOGITS)
    found = agreement(Outputs.of(LOGITS, CAMS), Outputs.of(logits, cams), Temperature(temperature), POINT)
    return {check.name: check for check in checks(found, INT8, inferiority(before, logits, POINT), slope)}


def broken(logits: np.ndarray, **options: object) -> set[str]:
    return {name for name, check in judged(logits, **options).items() if check.held is False}  # type: ignore[arg-type]


def test_every_limit_is_held_against_a_figure() -> None:
    assert set(judged(LOGITS)) == {limit.name for limit in fields(Tolerances)}


def test_an_equal_model_holds_every_limit() -> None:
    assert broken(LOGITS) == set()


def test_the_targets_of_int8_and_fp16_are_the_usual_limits() -> None:
    assert set(DEFAULT_TOLERANCES) == {*PRECISIONS, "native"}
    assert (INT8.p99_probability, INT8.max_probability, INT8.rms_logit_share, INT8.flip_share) == (
        0.02,
        0.05,
        0.03,
        0.005,
    )
    assert (INT8.auc_margin, INT8.cam_median_r, INT8.cam_same_peak) == (0.005, 0.98, 0.95)
    assert (DEFAULT_TOLERANCES["fp16"].flip_share, DEFAULT_TOLERANCES["fp16"].max_probability) == (0.0, 0.005)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda logits: logits + 0.3, "max_probability"),
        (lambda logits: logits + 0.3, "p99_probability"),
        (lambda logits: np.where(np.abs(logits) < 0.1, -logits, logits), "flip_share"),
        (lambda logits: logits * 1.05, "rms_logit_share"),
        (lambda logits: logits - 1.0, "sensitivity_margin"),
        (lambda logits: logits + 1.0, "specificity_margin"),
        (lambda logits: logits + np.tile([0.4, -0.4], 150), "auc_margin"),
    ],
)
def test_each_kind_of_damage_breaks_its_limit(change: object, name: str) -> None:
    assert name in broken(change(LOGITS))  # type: ignore[operator]


def test_damaged_maps_break_their_limits_alone() -> None:
    assert broken(LOGITS, cams=np.random.default_rng(9).normal(size=CAMS.shape)) == {"cam_median_r", "cam_same_peak"}


def test_a_temperature_cannot_hide_a_shift_of_all_logits() -> None:
    shifted = LOGITS + 0.15
    assert {"p99_probability", "rms_logit_share"} <= broken(shifted)
    assert "p99_probability" not in broken(shifted, temperature=4.0)
    assert "rms_logit_share" in broken(shifted, temperature=4.0)


def test_a_temperature_that_the_labels_contradict_breaks_a_limit_of_its_own() -> None:
    assert broken(LOGITS, slope=Interval(4.1, 3.2, 5.0, "Wald")) == {"temperature_excess"}
    assert broken(LOGITS, slope=Interval(1.6, 1.1, 2.1, "Wald")) == set()  # the interval does not show it


def test_a_figure_that_is_missing_neither_holds_nor_breaks() -> None:
    found = agreement(Outputs.of(LOGITS, CAMS), Outputs.of(LOGITS, CAMS), Temperature(1.0), POINT)
    missing = [check for check in checks(found, INT8, missing="no labels") if check.held is None]
    assert [check.name for check in missing] == [
        "auc_margin",
        "sensitivity_margin",
        "specificity_margin",
        "temperature_excess",
    ]
    assert {check.missing for check in missing} == {"no labels"}


def test_too_few_images_are_told_how_many_are_needed() -> None:
    found = agreement(Outputs.of(LOGITS[:40], CAMS[:40]), Outputs.of(LOGITS[:40], CAMS[:40]), Temperature(1.0), POINT)
    few = inferiority(Predictions.of(np.arange(40) % 2, LOGITS[:40]), LOGITS[:40], POINT)
    (check,) = [check for check in checks(found, INT8, few) if check.name == "sensitivity_margin"]
    assert check.held is False
    assert "20 images of the class cannot show it even without a single flip: at least 73 are needed" in check.hint


def test_limits_looser_than_usual_are_named() -> None:
    own = replace(INT8, max_probability=0.2, cam_median_r=0.5, flip_share=0.0)
    assert loosened(own, "int8") == ("max_probability", "cam_median_r")
    assert loosened(INT8, "int8") == ()


def test_the_bundles_own_limits_go_before_the_usual_ones() -> None:
    own = replace(INT8, max_probability=0.01)
    assert tolerances_of(ModelEntry("m.onnx", (), (), own), "int8") is own
    assert tolerances_of(ModelEntry("m.onnx", (), ()), "int8") is INT8


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"max_probability": -0.1}, "max_probability"),
        ({"temperature_excess": 0.5}, "temperature_excess"),
        ({"surprise": 1.0}, "does not know"),
        ({"flip_share": None}, "flip_share"),
        ({"flip_share": True}, "flip_share"),
    ],
)
def test_limits_of_another_form_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(BundleError, match=says):
        Tolerances.from_json({**INT8.to_json(), **change}, "here")


def test_limits_are_read_back_as_written() -> None:
    assert Tolerances.from_json(INT8.to_json(), "here") == INT8


def test_our_own_engine_has_limits_of_its_own_because_it_runs_a_file_of_its_own() -> None:
    native = DEFAULT_TOLERANCES["native"]
    assert (native.p99_probability, native.max_probability) == (0.03, 0.06)
    assert artefact_of("native", "int8") == "native"
    assert artefact_of("openvino", "int8") == "int8"
    own = replace(native, flip_share=0.0)
    model = ModelEntry("m.onnx", (), (), INT8, native="m.native", native_tolerances=own)
    assert tolerances_of(model, "native") is own
    assert tolerances_of(model, "int8") is INT8
