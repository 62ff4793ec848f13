from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cxr_edge.decode import decode
from cxr_edge.decode.display import window_in_stored_units
from cxr_edge.errors import CorruptInputError, UnsupportedInputError
from cxr_edge.preprocess.reference import preprocess
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Window

DicomWriter = Callable[..., bytes]
SPEC = PreprocessSpec(height=8, width=8)


@pytest.mark.parametrize(
    ("center", "width", "slope", "intercept", "expected"),
    [
        # lower = c - 0.5 - (w - 1) / 2 and upper = c - 0.5 + (w - 1) / 2, then (x - intercept) / slope, half up
        ("2048", "4096", None, None, Window(0, 4095)),
        ("550", "1024", None, None, Window(38, 1061)),
        ("128", "255", None, None, Window(1, 255)),  # 0.5 and 254.5 round up
        ("40", "400", "1", "-1024", Window(864, 1263)),  # -160 and 239
        ("40", "400", "2", "-1024", Window(432, 632)),  # 432 and 631.5
        ("100", "101", "0.5", "0", Window(99, 299)),  # 49.5 and 149.5
        ("40", "400", "-1", "1024", Window(785, 1184)),  # ends swapped
        ("-0.5", "2", None, None, Window(-1, 0)),  # -1.5 rounds up to -1, -0.5 to 0
    ],
)
def test_linear_window_is_taken_back_to_stored_units(
    center: str, width: str, slope: str | None, intercept: str | None, expected: Window, dicom: DicomWriter
) -> None:
    pixels = np.zeros((8, 8), np.int16)
    content = dicom(pixels, WindowCenter=center, WindowWidth=width, RescaleSlope=slope, RescaleIntercept=intercept)
    radiograph = decode(content)
    assert radiograph.window == expected
    assert radiograph.window_rule == "dicom"


@pytest.mark.parametrize(
    ("threshold", "slope", "expected"),
    [(127.5, 1.0, Window(127, 128)), (127.0, 1.0, Window(127, 128)), (127.5, -1.0, Window(-128, -127)),
     (127.0, -1.0, Window(-128, -127)), (127.2, 1.0, Window(127, 128)), (-127.0, -1.0, Window(126, 127))],
)  # fmt: skip
def test_a_window_of_width_one_is_a_step(threshold: float, slope: float, expected: Window) -> None:
    assert window_in_stored_units(threshold, threshold, slope, 0.0) == expected


def test_linear_exact_window_uses_its_own_ends(dicom: DicomWriter) -> None:
    content = dicom(np.zeros((8, 8), np.uint16), WindowCenter="100", WindowWidth="50", VOILUTFunction="LINEAR_EXACT")
    assert decode(content).window == Window(75, 125)


def test_without_a_window_the_full_bits_stored_range_is_shown(dicom: DicomWriter, ramp: np.ndarray) -> None:
    unsigned = decode(dicom(ramp, BitsStored=12, RescaleSlope="3", RescaleIntercept="-7"))
    signed = decode(dicom(ramp.astype(np.int16) - 2048, BitsStored=12))
    assert (unsigned.window, unsigned.window_rule) == (Window(0, 4095), "bits stored")
    assert signed.window == Window(-2048, 2047)


def test_first_of_several_windows_is_used_and_said(dicom: DicomWriter) -> None:
    radiograph = decode(dicom(np.zeros((8, 8), np.uint16), WindowCenter="100\\500 ", WindowWidth="11\\900"))
    assert radiograph.window == Window(95, 105)
    assert radiograph.warnings == ("the file has 2 windows; the first was used",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_monochrome1_and_its_inverted_twin_preprocess_equal(dtype: type, dicom: DicomWriter) -> None:
    rng = np.random.default_rng(7)
    info = np.iinfo(dtype)
    pixels = rng.integers(info.min, info.max + 1, (40, 30)).astype(dtype)
    inverted = (info.max + info.min - pixels.astype(np.int32)).astype(dtype)
    one = preprocess(decode(dicom(pixels)), SPEC)
    twin = preprocess(decode(dicom(inverted, PhotometricInterpretation="MONOCHROME1")), SPEC)
    np.testing.assert_allclose(one, twin, atol=1e-6)


def test_negative_slope_flips_polarity_and_twice_is_none(dicom: DicomWriter, ramp: np.ndarray) -> None:
    def inverted(**attributes: str) -> bool:
        return decode(dicom(ramp, **attributes)).inverted

    assert not inverted(RescaleSlope="2")
    assert inverted(RescaleSlope="-2")
    assert not inverted(RescaleSlope="-2", PhotometricInterpretation="MONOCHROME1")


def test_negated_twin_with_negative_slope_preprocesses_equal(dicom: DicomWriter, ramp: np.ndarray) -> None:
    window = {"WindowCenter": "1500", "WindowWidth": "1000"}
    plain = preprocess(decode(dicom(ramp.astype(np.int16), **window)), SPEC)
    twin = preprocess(decode(dicom(-ramp.astype(np.int16), RescaleSlope="-1", **window)), SPEC)
    np.testing.assert_allclose(plain, twin, atol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "tag"),
    [
        ({"RescaleSlope": "0"}, "RescaleSlope"),
        ({"RescaleSlope": "nan"}, "RescaleSlope"),
        ({"RescaleSlope": "1e999"}, "RescaleSlope"),
        ({"RescaleSlope": "1,5"}, "RescaleSlope"),
        ({"RescaleIntercept": "inf"}, "RescaleIntercept"),
        ({"WindowCenter": "10", "WindowWidth": "0"}, "WindowWidth"),
        ({"WindowCenter": "10", "WindowWidth": "0.9"}, "WindowWidth"),
        ({"WindowCenter": "10", "WindowWidth": "0", "VOILUTFunction": "LINEAR_EXACT"}, "WindowWidth"),
        ({"WindowCenter": "10"}, "WindowWidth"),
        ({"WindowWidth": "10"}, "WindowCenter"),
        ({"WindowCenter": "-9000", "WindowWidth": "100"}, "WindowCenter"),
        ({"WindowCenter": "9000000", "WindowWidth": "100"}, "WindowCenter"),
        ({"WindowCenter": "10", "WindowWidth": "100", "RescaleSlope": "1e-308"}, "RescaleSlope"),
    ],
)
def test_impossible_rescale_or_window_is_corrupt_and_named(
    attributes: dict[str, str], tag: str, dicom: DicomWriter, ramp: np.ndarray
) -> None:
    with pytest.raises(CorruptInputError, match=tag):
        decode(dicom(ramp, **attributes))


@pytest.mark.parametrize(
    ("attributes", "tag"),
    [
        ({"WindowCenter": "10", "WindowWidth": "100", "VOILUTFunction": "SIGMOID"}, "VOILUTFunction"),
        ({"WindowCenter": "10", "WindowWidth": "100000"}, "WindowWidth"),
        ({"ModalityLUTSequence": b"\xfe\xff\x00\xe0\0\0\0\0"}, "ModalityLUTSequence"),
        ({"VOILUTSequence": b"\xfe\xff\x00\xe0\0\0\0\0"}, "VOILUTSequence"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "PresentationIntentType"),
    ],
)
def test_display_features_that_are_not_read_are_named(
    attributes: dict[str, str], tag: str, dicom: DicomWriter, ramp: np.ndarray
) -> None:
    with pytest.raises(UnsupportedInputError, match=tag):
        decode(dicom(ramp, **attributes))


def test_of_voi_lut_and_window_the_window_is_used_and_said(dicom: DicomWriter, ramp: np.ndarray) -> None:
    content = dicom(ramp, VOILUTSequence=b"\xfe\xff\x00\xe0\0\0\0\0", WindowCenter="550", WindowWidth="1024")
    radiograph = decode(content)
    assert radiograph.window == Window(38, 1061)
    assert "VOI LUT" in radiograph.warnings[0]


def test_padding_value_and_range_become_stored_values(dicom: DicomWriter, ramp: np.ndarray) -> None:
    signed = ramp.astype(np.int16) - 2048
    assert decode(dicom(ramp)).padding is None
    assert decode(dicom(ramp, PixelPaddingValue=0)).padding == (0, 0)
    assert decode(dicom(ramp, PixelPaddingValue=4095, PixelPaddingRangeLimit=4000)).padding == (4000, 4095)
    assert decode(dicom(signed, PixelPaddingValue=-2000)).padding == (-2000, -2000)


def test_padding_that_bits_stored_cannot_hold_is_ignored_and_said(dicom: DicomWriter, ramp: np.ndarray) -> None:
    radiograph = decode(dicom(ramp, BitsStored=12, PixelPaddingValue=5000))
    assert radiograph.padding is None
    assert "PixelPaddingValue" in radiograph.warnings[0]


def test_contradicting_presentation_lut_is_said(dicom: DicomWriter, ramp: np.ndarray) -> None:
    radiograph = decode(dicom(ramp, PresentationLUTShape="INVERSE"))
    assert not radiograph.inverted
    assert "PresentationLUTShape" in radiograph.warnings[0]


@pytest.mark.parametrize("center", ["1e12", "-1e12", "1e300"])
def test_a_window_beyond_every_stored_value_is_corrupt(center: str, dicom: DicomWriter) -> None:
    with pytest.raises(CorruptInputError, match="WindowCenter"):
        decode(dicom(np.zeros((8, 8), np.uint16), WindowCenter=center, WindowWidth="400"))
