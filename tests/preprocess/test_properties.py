"""What exact preprocessing must keep, whichever implementation runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_edge.preprocess import native, reference
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import PIXEL_DTYPES, Box, Radiograph, Window

Preprocess = Callable[..., Any]

IMPLEMENTATIONS = [
    pytest.param(reference.preprocess, id="numpy"),
    pytest.param(
        native.preprocess,
        id="native",
        marks=pytest.mark.skipif(not native.available(), reason="installed without the native extension"),
    ),
]
every_implementation = pytest.mark.parametrize("preprocess", IMPLEMENTATIONS)


def frame(bits: int = 12, size: tuple[int, int] = (301, 257), seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 1 << bits, size, np.uint16)


@given(size_in=st.integers(1, 5000), size_out=st.integers(1, 64))
@settings(max_examples=50, deadline=None)
def test_weights_of_an_output_pixel_add_up_to_the_input_size(size_in: int, size_out: int) -> None:
    weights = reference.area_weights(size_in, size_out)
    assert (weights.sum(axis=1) == size_in).all()
    assert (weights.sum(axis=0) == size_out).all()


@every_implementation
@pytest.mark.parametrize("dtype", PIXEL_DTYPES, ids=str)
@pytest.mark.parametrize("size", [(3, 5), (301, 257), (97, 1000)], ids=str)
def test_a_constant_frame_maps_to_one_value(preprocess: Preprocess, dtype: Any, size: tuple[int, int]) -> None:
    lo, hi, value = -60, 90, 30
    image = preprocess(Radiograph(np.full(size, value, dtype), Window(lo, hi)), PreprocessSpec(50, 70))
    assert (image == image[0, 0]).all()
    assert image[0, 0] == pytest.approx(2 * (value - lo) / (hi - lo) - 1, abs=1e-7)


@every_implementation
@pytest.mark.parametrize("inverted", [False, True])
def test_window_ends_map_to_black_and_white_by_polarity(preprocess: Preprocess, inverted: bool) -> None:
    below_and_above = np.repeat(np.array([[50, 5000]], np.uint16), 4, axis=0)
    image = preprocess(Radiograph(below_and_above, Window(100, 4000), inverted), PreprocessSpec(2, 2))
    assert image.tolist() == [[1.0, -1.0]] * 2 if inverted else [[-1.0, 1.0]] * 2


@every_implementation
def test_inverted_pixels_with_inverted_polarity_give_the_same_image(preprocess: Preprocess) -> None:
    pixels = frame()
    normal = preprocess(Radiograph(pixels, Window(200, 3800)), PreprocessSpec())
    twin = preprocess(Radiograph(4095 - pixels, Window(295, 3895), inverted=True), PreprocessSpec())
    np.testing.assert_allclose(twin, normal, rtol=0, atol=1e-6)


@every_implementation
def test_16_bit_frame_equals_its_8_bit_twin(preprocess: Preprocess) -> None:
    pixels = frame(bits=8)
    narrow = preprocess(Radiograph(pixels.astype(np.uint8), Window(0, 255)), PreprocessSpec())
    wide = preprocess(Radiograph(pixels * np.uint16(257), Window(0, 65_535)), PreprocessSpec())
    np.testing.assert_allclose(wide, narrow, rtol=0, atol=1e-6)


@every_implementation
def test_signed_frame_equals_its_shifted_unsigned_twin(preprocess: Preprocess) -> None:
    pixels = frame(bits=16)
    unsigned = preprocess(Radiograph(pixels, Window(1000, 60_000)), PreprocessSpec())
    shifted = (pixels.astype(np.int32) - 32_768).astype(np.int16)
    signed = preprocess(Radiograph(shifted, Window(1000 - 32_768, 60_000 - 32_768)), PreprocessSpec())
    np.testing.assert_array_equal(signed, unsigned)


@every_implementation
@pytest.mark.parametrize("inverted", [False, True])
def test_padding_displays_black_in_both_polarities(preprocess: Preprocess, inverted: bool) -> None:
    radiograph = Radiograph(np.full((8, 8), 2000, np.uint16), Window(0, 4095), inverted, padding=(1990, 2010))
    assert (preprocess(radiograph, PreprocessSpec(4, 4)) == -1.0).all()


@every_implementation
def test_whole_blocks_are_plain_means(preprocess: Preprocess) -> None:
    pixels = frame(size=(60, 90))
    image = preprocess(Radiograph(pixels, Window(0, 4095)), PreprocessSpec(20, 30))
    means = pixels.reshape(20, 3, 30, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(image, 2 * means / 4095 - 1, rtol=0, atol=1e-6)


@every_implementation
def test_a_crop_is_the_same_as_a_cut_out_frame(preprocess: Preprocess) -> None:
    pixels = frame()
    cropped = preprocess(Radiograph(pixels, Window(0, 4095)), PreprocessSpec(), Box(40, 31, 200, 150))
    cut_out = preprocess(Radiograph(pixels[40:240, 31:181], Window(0, 4095)), PreprocessSpec())
    np.testing.assert_array_equal(cropped, cut_out)
