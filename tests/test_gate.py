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


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("inverted", [False, True])
def test_what_is_measured_is_what_the_displayed_pixels_show(dtype: type, inverted: bool) -> None:
    info, rng = np.iinfo(dtype), np.random.default_rng(11)
    never = GateSpec(min_short_side=1, max_aspect=9.0, min_contrast=1.0, max_saturated=1.0)
    for _ in range(20):
        ends = sorted(rng.integers(info.min, info.max, 2, np.int64))
        pixels = rng.integers(ends[0], ends[1] + 2, rng.integers(20, 200, 2)).astype(dtype)
        lo = int(rng.integers(info.min - 200, info.max))
        window = Window(lo, lo + int(rng.integers(1, 2 * (int(info.max) - info.min) // 3)))
        stored = pixels[:: -(-pixels.shape[0] // 128), :: -(-pixels.shape[1] // 128)].astype(np.int64).ravel()
        stored = stored[stored != ends[1]]  # padding
        shown = (np.clip(stored, window.lo, window.hi) - window.lo) / (window.hi - window.lo)
        low, high = np.percentile(1 - shown if inverted else shown, (2, 98))
        frame = Frame(info.bits, inverted, window, padding=(int(ends[1]), int(ends[1])))
        reasons = check(Radiograph.from_frame(pixels, frame), never).reasons
        if shown.min() == shown.max():
            assert [reason.code for reason in reasons] == ["constant"]
        elif high - low < 1:
            assert [reason.code for reason in reasons] == ["low contrast"]
            assert reasons[0].measured == pytest.approx(high - low, abs=1e-12)


def test_a_large_frame_is_checked_in_a_fraction_of_a_millisecond() -> None:
    frame = np.random.default_rng(0).integers(0, 65_536, (3000, 3000), np.uint16)
    radiograph = Radiograph.from_frame(frame, Frame(16))
    fastest = min(_seconds(radiograph) for _ in range(50))
    assert fastest < 0.001  # 0.05 ms on a server core; looking at every pixel would take 100


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
