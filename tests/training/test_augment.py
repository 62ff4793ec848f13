from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_edge.preprocess import preprocess
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import MAX_WINDOW_SPAN, PIXEL_DTYPES, Radiograph, Window
from training.augment import augmented, jittered_window
from training.config import Augmentation

NOTHING = Augmentation(rotation=0, zoom=0, shift=0, flip=0, brightness=0, contrast=0)
STRONG = Augmentation(rotation=30, zoom=0.3, shift=0.3, flip=0.5, brightness=0.3, contrast=0.5)
SPEC = PreprocessSpec(height=16, width=16)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def radiograph(dtype: Any = np.uint16, **changes: Any) -> Radiograph:
    """Noise over the middle half of the type's range, 40 x 30, with a window that spans it."""
    limits = np.iinfo(dtype)
    lo, hi = limits.min // 2 + limits.max // 4, limits.max // 2 + limits.max // 4
    pixels = seeded(1).integers(lo, hi, (40, 30)).astype(dtype)
    return replace(Radiograph(pixels, Window(int(lo), int(hi))), **changes)


def constant(value: int, window: Window, dtype: Any = np.uint16, **changes: Any) -> Radiograph:
    return Radiograph(np.full((40, 30), value, dtype), window, **changes)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("dtype", PIXEL_DTYPES, ids=str)
def test_every_pixel_type_keeps_its_shape_and_type_and_the_original_stays(dtype: Any, inverted: bool) -> None:
    source = radiograph(dtype, inverted=inverted, source="png", warnings=("a warning",))
    before = source.pixels.copy()
    copy = augmented(source, STRONG, seeded())
    assert copy.pixels.dtype == dtype
    assert copy.pixels.shape == (40, 30)
    assert not np.array_equal(copy.pixels, before)
    assert (copy.inverted, copy.source, copy.warnings) == (inverted, "png", ("a warning",))
    np.testing.assert_array_equal(source.pixels, before)


def test_the_same_seed_gives_the_same_copy_and_another_seed_another() -> None:
    one, same, other = (augmented(radiograph(), STRONG, seeded(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.pixels, same.pixels)
    assert one.window == same.window
    assert not np.array_equal(one.pixels, other.pixels)
    assert one.window != other.window


@pytest.mark.parametrize("dtype", PIXEL_DTYPES, ids=str)
def test_no_augmentation_changes_nothing(dtype: Any) -> None:
    source = radiograph(dtype)
    copy = augmented(source, NOTHING, seeded())
    np.testing.assert_array_equal(copy.pixels, source.pixels)
    assert replace(copy, pixels=source.pixels) == source


def test_a_flip_alone_is_the_exact_mirror_image() -> None:
    source = radiograph()
    copy = augmented(source, replace(NOTHING, flip=1.0), seeded())
    np.testing.assert_array_equal(copy.pixels, source.pixels[:, ::-1])
    assert copy.window == source.window


@pytest.mark.parametrize("change", ["rotation", "zoom", "shift"])
def test_geometry_moves_pixels_and_leaves_the_window(change: str) -> None:
    source = radiograph()
    copy = augmented(source, replace(NOTHING, **{change: getattr(STRONG, change)}), seeded())
    assert not np.array_equal(copy.pixels, source.pixels)
    assert copy.window == source.window


def test_a_shift_stays_within_its_share_of_the_frame() -> None:
    pixels = np.zeros((40, 40), np.uint16)
    pixels[20, 20] = 1000
    for seed in range(20):
        copy = augmented(Radiograph(pixels, Window(0, 1000)), replace(NOTHING, shift=0.1), seeded(seed))
        rows, columns = np.nonzero(copy.pixels)
        assert np.abs(rows - 20).max() <= 5  # a tenth of 40, and the pixel that interpolation spreads over
        assert np.abs(columns - 20).max() <= 5


@pytest.mark.parametrize("change", ["brightness", "contrast"])
def test_exposure_moves_the_window_and_leaves_the_pixels(change: str) -> None:
    source = radiograph()
    copy = augmented(source, replace(NOTHING, **{change: getattr(STRONG, change)}), seeded())
    np.testing.assert_array_equal(copy.pixels, source.pixels)
    assert copy.window != source.window


WINDOWS = st.tuples(st.integers(-40_000, 65_535), st.integers(1, MAX_WINDOW_SPAN)).map(lambda w: Window(w[0], sum(w)))


@settings(max_examples=200, deadline=None)
@given(window=WINDOWS, seed=st.integers(0, 2**32))
def test_brightness_shifts_the_centre_within_its_share_and_keeps_the_span(window: Window, seed: int) -> None:
    moved = jittered_window(window, replace(NOTHING, brightness=0.1), seeded(seed))
    span = window.hi - window.lo
    assert abs((moved.hi - moved.lo) - span) <= 1
    assert abs((moved.hi + moved.lo) - (window.hi + window.lo)) / 2 <= 0.1 * span + 1


@settings(max_examples=200, deadline=None)
@given(window=WINDOWS, seed=st.integers(0, 2**32))
def test_contrast_scales_the_span_within_its_share_and_keeps_the_centre(window: Window, seed: int) -> None:
    scaled = jittered_window(window, replace(NOTHING, contrast=0.2), seeded(seed))
    span = window.hi - window.lo
    assert np.exp(-0.2) * span - 1 <= scaled.hi - scaled.lo <= np.exp(0.2) * span + 1
    assert abs((scaled.hi + scaled.lo) - (window.hi + window.lo)) / 2 <= 1


@pytest.mark.parametrize(
    ("window", "inverted"),
    [(Window(-1000, 5000), False), (Window(1000, 66_000), True), (Window(0, 5000), False)],
    ids=["black below the pixel type", "black above the pixel type", "black within it"],
)
def test_what_enters_from_outside_is_as_black_as_the_pixel_type_can_be(window: Window, inverted: bool) -> None:
    source = constant(2000, window, inverted=inverted)
    black = 65_535 if inverted else 0
    copy = augmented(source, replace(NOTHING, rotation=45), seeded())
    assert copy.pixels[20, 15] == 2000
    assert copy.pixels[0, 0] == black
    assert set(np.unique(copy.pixels)) <= {black, *range(min(black, 2000), max(black, 2000) + 1)}


def test_what_enters_is_black_in_the_changed_window_too() -> None:
    for seed in range(10):
        source = constant(30_000, Window(20_000, 40_000))
        copy = augmented(source, replace(STRONG, rotation=45, shift=1), seeded(seed))
        assert copy.pixels.min() == copy.window.lo


def test_padding_leaves_no_bright_rim_behind() -> None:
    pixels = np.full((40, 30), 100, np.uint16)
    pixels[:, :15] = 60_000
    source = Radiograph(pixels, Window(0, 4000), padding=(60_000, 60_000))
    copy = augmented(source, replace(NOTHING, rotation=10, zoom=0.1, shift=0.1), seeded())
    assert copy.padding is None
    assert copy.pixels.max() <= 100


@pytest.mark.parametrize("inverted", [False, True])
def test_padding_displays_the_same_before_and_after(inverted: bool) -> None:
    pixels = seeded().integers(0, 4096, (40, 30)).astype(np.uint16)
    source = Radiograph(pixels, Window(0, 4095), inverted=inverted, padding=(1000, 2000))
    copy = augmented(source, NOTHING, seeded())
    assert np.array_equal(preprocess(copy, SPEC), preprocess(source, SPEC))
