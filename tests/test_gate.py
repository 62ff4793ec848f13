from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from cxr_edge.decode import decode
from cxr_edge.errors import BundleError
from cxr_edge.gate import GateSpec, check
from cxr_edge.records import Frame, Radiograph, Window


def picture(height: int = 300, width: int = 280, low: int = 20, high: int = 230) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    waves = 0.5 + 0.5 * np.sin(rows / 23) * np.cos(columns / 31)
    return (low + waves * (high - low)).astype(np.uint8)


def codes(pixels: np.ndarray, frame: Frame | None = None) -> list[str]:
    return [reason.code for reason in check(Radiograph.from_frame(pixels, frame or Frame(8))).reasons]


def test_an_ordinary_picture_passes() -> None:
    report = check(Radiograph.from_frame(picture(), Frame(8)))
    assert report.passed
    assert report.to_json() == {"passed": True, "reasons": []}


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (224, 224, []),
        (223, 400, ["too small"]),
        (400, 223, ["too small"]),
        (224, 560, []),
        (224, 561, ["aspect"]),
        (900, 224, ["aspect"]),
        (169, 211, ["too small"]),
        (65_500, 1, ["too small", "aspect"]),
    ],
)
def test_geometry(height: int, width: int, expected: list[str]) -> None:
    assert codes(picture(height, width)) == expected


def test_one_pixel_is_too_small_and_constant() -> None:
    assert codes(np.zeros((1, 1), np.uint8)) == ["too small", "constant"]


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_constant_image_is_called_constant_and_nothing_else(value: int) -> None:
    assert codes(np.full((300, 300), value, np.uint8)) == ["constant"]


def test_an_image_that_only_its_window_makes_constant_is_constant() -> None:
    assert codes(picture(), Frame(8, window=Window(240, 255))) == ["constant"]


def test_all_padding_is_constant() -> None:
    assert codes(picture(), Frame(8, padding=(0, 255))) == ["constant"]


def test_low_contrast() -> None:
    assert codes(picture(low=100, high=120)) == ["low contrast"]
    assert codes(picture(low=100, high=120), Frame(8, window=Window(90, 130))) == []


def test_exposure_follows_the_polarity() -> None:
    mostly_zero = picture()
    mostly_zero[:285] = 0
    assert codes(mostly_zero) == ["over-exposed"]
    assert codes(mostly_zero, Frame(8, inverted=True)) == ["under-exposed"]


def test_padding_does_not_count_as_exposure() -> None:
    collimated = picture()
    collimated[:285] = 0
    assert codes(collimated, Frame(8, padding=(0, 0))) == []


def test_signed_pixels_are_measured_like_unsigned_ones() -> None:
    signed = (picture().astype(np.int16) - 128) * 200
    assert codes(signed, Frame(16)) == []


def test_a_reason_names_measurement_and_limit() -> None:
    (reason,) = check(Radiograph.from_frame(picture(100, 200), Frame(8))).reasons
    assert str(reason) == "the short side has 100 pixels; at least 224 are needed"
    report = check(Radiograph.from_frame(picture(100, 200), Frame(8)))
    assert json.loads(json.dumps(report.to_json())) == {
        "passed": False,
        "reasons": [{"code": "too small", "measured": 100, "limit": 224, "message": str(reason)}],
    }


def test_thresholds_are_data() -> None:
    spec = GateSpec(min_short_side=64, max_aspect=4.0, min_contrast=0.01, max_saturated=1.0)
    assert GateSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert GateSpec.from_json({}) == GateSpec()
    assert check(Radiograph.from_frame(picture(100, 390), Frame(8)), spec).passed


@pytest.mark.parametrize(
    "section", [{"min_sharpness": 1}, {"min_short_side": 0}, {"min_short_side": "big"}, {"max_aspect": 0.5},
                {"min_contrast": 2}, {"max_saturated": float("nan")}]
)  # fmt: skip
def test_a_gate_section_that_cannot_be_kept_is_refused(section: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="gate section"):
        GateSpec.from_json(section)


def test_a_large_frame_is_checked_in_about_a_millisecond() -> None:
    frame = np.random.default_rng(0).integers(0, 65_536, (3000, 3000), np.uint16)
    radiograph = Radiograph.from_frame(frame, Frame(16))
    fastest = min(_seconds(radiograph) for _ in range(50))
    assert fastest < 0.003  # 0.5 ms on a desktop core; looking at every pixel would take 100


def _seconds(radiograph: Radiograph) -> float:
    started = time.perf_counter()
    check(radiograph)
    return time.perf_counter() - started


@pytest.mark.real_data
@pytest.mark.parametrize(("number", "passes"), [("01", True), ("03", True), ("04", True), ("06", True), ("07", False)])
def test_real_chest_radiographs_pass_and_the_small_dog_does_not(number: str, passes: bool, dicom_folder: Path) -> None:
    report = check(decode(next(dicom_folder.glob(f"{number}_*.dcm"))))
    assert report.passed is passes
    assert passes or report.reasons[0].code == "too small"


@pytest.mark.real_data
def test_a_sample_of_real_radiographs_passes(shenzhen_folder: Path, nih_folder: Path) -> None:
    images = [path for folder in (shenzhen_folder, nih_folder) for path in sorted((folder / "images").rglob("*.*"))]
    refused = [reason for path in images[::60] for reason in check(decode(path)).reasons]
    assert len(images) > 2000
    assert refused == []
