"""Changes of grey scale: CLAHE bit by bit as its definition says, and what it promises to whoever reads the picture."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from cxr_edge.errors import BundleError
from cxr_edge.preprocess import PreprocessSpec
from cxr_edge.records import Radiograph, Window
from cxr_edge.regions import network_input
from cxr_edge.regions.contrast import CLIP, LEVELS, TILES, clahe, equalised, with_contrast

DISPLAY = PreprocessSpec(mean=0.0, std=1.0, contrast="clahe")
"""Without normalisation: the network's values are display values."""

Levels = NDArray[np.int64]
Image = NDArray[np.float32]


def of_levels(levels: Levels) -> Image:
    """The picture whose display values are exactly these of 256 levels."""
    image: Image = (levels / (LEVELS - 1)).astype(np.float32)
    return image


def made_levels(height: int, width: int) -> Levels:
    """A picture with ramps, texture and an edge, made from whole numbers only: the same on every machine."""
    i, j = np.mgrid[:height, :width]
    levels: Levels = (i * 131 // height + (i * i * 7 + j * j * 13 + i * j * 5) % 61 + 63 * (2 * j > width)) % LEVELS
    return levels


def plainly_defined(levels: Levels, i: int, j: int) -> float:
    """CLAHE at one pixel by its definition, in fractions."""
    height, width = levels.shape
    result = Fraction()
    for row, row_share in neighbours(i, height):
        for column, column_share in neighbours(j, width):
            tile = levels[pixels_of(row, height), pixels_of(column, width)]
            result += row_share * column_share * becomes(tuple(tile.ravel().tolist()), int(levels[i, j]))
    return float(result)


def neighbours(pixel: int, side: int) -> list[tuple[int, Fraction]]:
    """The two tiles around a pixel, with their shares."""
    place = Fraction((2 * pixel + 1) * TILES, 2 * side) - Fraction(1, 2)
    before = place.numerator // place.denominator
    return [(max(before, 0), before + 1 - place), (min(before + 1, TILES - 1), place - before)]


def pixels_of(tile: int, side: int) -> slice:
    length = -(-side // TILES)
    start = tile * (side - length) // (TILES - 1)
    return slice(start, start + length)


@cache
def becomes(tile: tuple[int, ...], level: int) -> Fraction:
    """Where the clipped histogram of a tile puts the middle of a level; counted in pixels / LEVELS."""
    counts = Counter(tile)
    clipped = [min(LEVELS * counts[each], CLIP * len(tile)) for each in range(LEVELS)]
    redistributed = Fraction(LEVELS * len(tile) - sum(clipped), LEVELS)
    below = sum(clipped[:level]) + level * redistributed
    return (below + (clipped[level] + redistributed) / 2) / (LEVELS * len(tile))


DIGEST = "4d9b57571cc402b5e6a95e302ae0a85f11a2b4e737806c1ac4caecb75c2694ed"
"""Of CLAHE's little-endian float32, 224 x 224, of a made radiograph."""

SIDES = [(224, 224), (1100, 1060), (32, 33), (35, 300), (299, 101), (161, 57), (1, 1), (3, 5), (7, 64)]


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("mean_and_std", [(0.5, 0.5), (0.4815, 0.2519)])
def test_clahe_gives_the_bits_of_its_definition(sides: tuple[int, int], mean_and_std: tuple[float, float]) -> None:
    mean, std = mean_and_std
    levels = np.random.default_rng(sides).integers(0, LEVELS, sides) // 3 + made_levels(*sides) // 2
    levels[0, 0] = 255  # never one level alone, unless there is one pixel alone
    image = ((levels / (LEVELS - 1) - mean) / std).astype(np.float32)
    result = clahe(image, replace(DISPLAY, mean=mean, std=std))
    assert result.shape == sides and result.dtype == np.float32
    places = np.random.default_rng(1).integers(0, sides, (6, 2)).tolist()
    for i, j in [*places, [0, 0], [sides[0] - 1, sides[1] - 1]] if image.size > 1 else []:
        assert result[i, j] == np.float32((plainly_defined(levels, i, j) - mean) / std)


def test_clahe_of_a_made_picture_has_the_recorded_bits() -> None:
    small = clahe(of_levels(made_levels(9, 13)), DISPLAY)
    assert small[[0, 0, 4, 8, 8], [0, 12, 6, 0, 12]].view(np.uint32).tolist() == [
        0x3BBE0000,
        0x3ECE6800,
        0x3EAF0800,
        0x3F0A3400,
        0x3F6A2C00,
    ]
    pixels = (made_levels(301, 259) * 257).astype(np.uint16)
    image = network_input(Radiograph(pixels, Window(0, 65535)), PreprocessSpec(contrast="clahe"))
    assert hashlib.sha256(image.astype("<f4").tobytes()).hexdigest() == DIGEST


@pytest.mark.parametrize("change", [equalised, clahe])
@pytest.mark.parametrize("value", [-1.0, 0.3, 1.0])
def test_a_constant_picture_stays_as_it_is(change: Callable[[Image, PreprocessSpec], Image], value: float) -> None:
    constant = np.full((40, 33), value, np.float32)
    assert np.array_equal(change(constant, PreprocessSpec()), constant)


def test_no_contrast_is_the_picture_itself() -> None:
    image = of_levels(made_levels(8, 8))
    assert with_contrast(image, PreprocessSpec()) is image


def test_a_change_leaves_the_picture_that_it_was_given() -> None:
    image = of_levels(made_levels(50, 60))
    before = image.copy()
    for contrast in ("equalised", "clahe"):
        assert not np.array_equal(with_contrast(image, replace(DISPLAY, contrast=contrast)), before)
        assert np.array_equal(image, before)


def test_equalised_levels_are_spread_evenly_and_keep_their_order() -> None:
    image = np.repeat(np.array([-0.9, -0.85, 0.1, 0.9], np.float32), 8).reshape(4, 8)
    flat = equalised(image, PreprocessSpec(4, 8))
    assert [row[0] for row in flat] == [-1.0, np.float32(-1 / 3), np.float32(1 / 3), 1.0]


def test_a_flat_part_of_a_picture_stays_within_a_level_and_a_half() -> None:
    for level in (0, 1, 100, 254, 255):
        levels = made_levels(64, 64)
        levels[:, 32:] = level
        flat = clahe(of_levels(levels), DISPLAY)[:, 40:]
        assert np.ptp(flat) == 0 and abs(flat[0, 0] * (LEVELS - 1) - level) < 1.5


@pytest.mark.parametrize("seed", range(4))
def test_tiles_alike_keep_the_order_of_levels_and_stretch_none_beyond_the_limit(seed: int) -> None:
    random = np.random.default_rng(seed)
    tile = np.clip(random.normal(120, 2 + 10 * seed, (28, 28)), 0, 255).astype(np.int64)
    levels = np.tile(tile, (TILES, TILES))
    result = clahe(of_levels(levels), DISPLAY).astype(np.float64)
    present, first, place = np.unique(levels, return_index=True, return_inverse=True)
    values = result.ravel()[first]
    assert np.array_equal(values[place].reshape(levels.shape), result), "one level became several values"
    slopes = np.diff(values) * (LEVELS - 1) / np.diff(present)
    assert (slopes > 0).all() and slopes.max() <= CLIP + 1
    assert slopes.max() > 1.2


def test_faint_structure_in_a_dark_corner_is_told_apart_by_its_own_histogram() -> None:
    levels = np.full((224, 224), 200) + made_levels(224, 224) % 50
    levels[:84, :84] = 20 + made_levels(84, 84) % 8
    image = of_levels(levels)
    corner = np.s_[:56, :56]
    assert clahe(image, DISPLAY)[corner].std() > 2 * image[corner].std()


@pytest.mark.parametrize("sides", [(224, 224), (33, 127), (300, 35)])
def test_the_negative_of_a_picture_becomes_the_negative_of_the_result(sides: tuple[int, int]) -> None:
    levels = made_levels(*sides)
    positive, negative = (clahe(of_levels(each), DISPLAY) for each in (levels, LEVELS - 1 - levels))
    assert np.allclose(positive, 1 - negative.astype(np.float64), rtol=0, atol=2**-24)


def test_a_picture_and_its_monochrome1_twin_become_the_same() -> None:
    pixels = (made_levels(301, 259) * 257 + made_levels(301, 259)[::-1]).astype(np.uint16)
    radiograph = Radiograph(pixels, Window(0, 65535))
    twin = Radiograph(65535 - pixels, Window(0, 65535), inverted=True)
    spec = PreprocessSpec(contrast="clahe")
    assert np.array_equal(network_input(radiograph, spec), network_input(twin, spec))


@pytest.mark.parametrize("sides", [(224, 224), (64, 200)])
def test_a_picture_that_is_turned_or_mirrored_becomes_the_result_turned_or_mirrored(sides: tuple[int, int]) -> None:
    image = of_levels(made_levels(*sides))
    result = clahe(image, DISPLAY)
    assert np.array_equal(clahe(image[:, ::-1], DISPLAY), result[:, ::-1])
    assert np.array_equal(clahe(image[::-1], DISPLAY), result[::-1])
    assert np.array_equal(clahe(image.T, DISPLAY), result.T)


def test_the_sums_of_the_largest_input_fit_64_bits() -> None:
    largest = PreprocessSpec(4096, 4096)
    with pytest.raises(BundleError, match="outside 1..4096"):
        replace(largest, height=4097)
    white = 2 * LEVELS**2 * (4096 // TILES) ** 2
    assert white * (2 * largest.height) * (2 * largest.width) < 2**63
