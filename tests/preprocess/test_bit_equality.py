"""Native preprocessing returns the reference's 32 bits: every size, type, window, polarity, SIMD level, threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_edge.preprocess import native, reference
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import PIXEL_DTYPES, Box, Radiograph, Window

pytestmark = pytest.mark.skipif(not native.available(), reason="installed without the native extension")

EXTREME_SIZES = [(1, 1), (1, 5000), (5000, 1), (5000, 31), (33, 5000), (224, 224), (448, 672), (225, 223), (100, 150)]
LEVELS = native.simd_levels() if native.available() else ()


def random_radiograph(height: int, width: int, dtype: Any, seed: int, **display: Any) -> Radiograph:
    limits = np.iinfo(dtype)
    pixels = np.random.default_rng(seed).integers(limits.min, limits.max, (height, width), dtype, endpoint=True)
    return Radiograph(pixels, **{"window": Window(int(limits.min), int(limits.max)), **display})


def assert_same_bits(radiograph: Radiograph, spec: PreprocessSpec, crop: Box | None = None, threads: int = 1) -> None:
    want = reference.preprocess(radiograph, spec, crop).view(np.uint32)
    for level in LEVELS:
        got = native.preprocess(radiograph, spec, crop, threads, simd=level).view(np.uint32)
        np.testing.assert_array_equal(got, want, err_msg=level)


@st.composite
def display_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Windows that lie inside, across and outside the range of every pixel type, both polarities, padding or none."""
    lo = draw(st.integers(-70_000, 70_000))
    first = draw(st.integers(-40_000, 70_000))
    return {
        "window": Window(lo, lo + draw(st.integers(1, 65_535))),
        "inverted": draw(st.booleans()),
        "padding": draw(st.none() | st.just((first, first + draw(st.integers(0, 50_000))))),
    }


sizes = st.tuples(st.integers(1, 300), st.integers(1, 300))
specs = st.builds(
    PreprocessSpec,
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    mean=st.floats(-1, 2),
    std=st.floats(0.01, 2),
)


@settings(max_examples=300, deadline=None)
@given(
    size=sizes,
    dtype=st.sampled_from(PIXEL_DTYPES),
    display=display_settings(),
    spec=specs,
    seed=st.integers(0, 2**32 - 1),
    threads=st.integers(1, 4),
)
def test_random_frames_and_specs(
    size: tuple[int, int], dtype: Any, display: dict[str, Any], spec: PreprocessSpec, seed: int, threads: int
) -> None:
    assert_same_bits(random_radiograph(*size, dtype, seed, **display), spec, threads=threads)


@settings(max_examples=100, deadline=None)
@given(
    size=sizes,
    corner=st.tuples(st.integers(-50, 280), st.integers(-50, 280)),
    extent=st.tuples(st.integers(60, 400), st.integers(60, 400)),
    dtype=st.sampled_from(PIXEL_DTYPES),
)
def test_random_crops(size: tuple[int, int], corner: tuple[int, int], extent: tuple[int, int], dtype: Any) -> None:
    top, left = min(corner[0], size[0] - 1), min(corner[1], size[1] - 1)
    assert_same_bits(random_radiograph(*size, dtype, 7), PreprocessSpec(30, 40), Box(top, left, *extent))


@pytest.mark.parametrize("dtype", PIXEL_DTYPES, ids=str)
@pytest.mark.parametrize(
    "size",
    [(1, 1), (1, 5000), (5000, 1), (5000, 31), (33, 5000), (224, 224), (448, 672), (225, 223), (100, 150)],
    ids=str,
)
def test_extreme_sizes_at_the_network_s_size(size: tuple[int, int], dtype: Any) -> None:
    assert_same_bits(random_radiograph(*size, dtype, 3), PreprocessSpec())


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(
    ("size", "bits"), [((3000, 3001), 12), ((2991, 2504), 14), ((4987, 5000), 16)], ids=["12 bit", "14 bit", "16 bit"]
)
def test_detector_sized_frames(size: tuple[int, int], bits: int, inverted: bool) -> None:
    pixels = np.random.default_rng(bits).integers(0, 1 << bits, size, np.uint16)
    radiograph = Radiograph(pixels, Window(0, (1 << bits) - 1), inverted, padding=(0, 3))
    assert_same_bits(radiograph, PreprocessSpec(), threads=2)


def test_saturated_16_bit_frame_of_65535_rows_does_not_overflow() -> None:
    radiograph = Radiograph(np.full((65_535, 3), 65_535, np.uint16), Window(0, 65_535))
    for level in LEVELS:
        assert (native.preprocess(radiograph, PreprocessSpec(2, 2), simd=level) == 1.0).all(), level


def test_frame_with_rows_cut_out_of_a_larger_array() -> None:
    whole = np.random.default_rng(0).integers(0, 4096, (90, 130), np.uint16)
    assert_same_bits(Radiograph(whole[3:80, 5:100], Window(100, 4000)), PreprocessSpec(17, 19))


def test_read_only_pixels_are_accepted() -> None:
    radiograph = random_radiograph(50, 60, np.uint16, 1)
    radiograph.pixels.flags.writeable = False
    assert_same_bits(radiograph, PreprocessSpec(17, 19))
