"""Changes of the grey scale at the network's own size, in one implementation and therefore the same everywhere.

Whole numbers are counted; what precedes and follows is one float64 operation after another on single values, which
IEEE 754 fixes to the last bit on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxr_edge.preprocess.spec import PreprocessSpec

__all__ = ["clahe", "equalised", "with_contrast"]

LEVELS = 256
"""Grey levels that are counted; the eye and an 8-bit file have no more."""

TILES = 8
"""Tiles along each side, the usual number for medical images (Zuiderveld).

About three of them span a lung's width: ribs and vessels are told from the lung around them, not from the whole chest.
"""

CLIP = 2
"""Largest count of one level in a tile, as a multiple of a flat histogram's.

What is cut off adds at most one flat histogram to every level, so no tile raises contrast more than ``CLIP + 1`` times.
A tile of the default input has 3 pixels a level: a count far above that is often noise, drawn as structure.
"""


def with_contrast(image: NDArray[np.float32], spec: PreprocessSpec) -> NDArray[np.float32]:
    """The image with the grey scale that its spec asks for; the image itself where that is its own.

    Args:
        image: ``[H, W]`` as preprocessing gives it; unchanged.
        spec: its normalisation and contrast.
    """
    match spec.contrast:
        case "none":
            return image
        case "equalised":
            return equalised(image, spec)
        case "clahe":
            return clahe(image, spec)


def equalised(image: NDArray[np.float32], spec: PreprocessSpec) -> NDArray[np.float32]:
    """The image with its histogram made as flat as whole levels allow (Gonzalez and Woods, 3.3.1).

    Args:
        image: ``[H, W]`` as preprocessing gives it; unchanged.
        spec: its normalisation.
    """
    levels = _grey_levels(image, spec)
    below = np.cumsum(np.bincount(levels.ravel(), minlength=LEVELS))
    least = int(below[np.argmax(below > 0)])
    span = int(below[-1]) - least
    if span == 0:  # one level alone: there is nothing to spread
        unchanged: NDArray[np.float32] = image.copy()
        return unchanged
    flat = np.clip(below - least, 0, None) / float(span)
    return _normalised(flat[levels], spec)


def clahe(image: NDArray[np.float32], spec: PreprocessSpec) -> NDArray[np.float32]:
    """The image with its histogram flattened tile by tile and with bounded slope: CLAHE.

    Contrast-limited adaptive histogram equalisation (Pizer et al. 1987; Zuiderveld, Graphics Gems IV, 1994) by exact
    integers up to one division. A level goes to the middle of its own share of the clipped histogram, which makes the
    change symmetric: a negative of the image becomes the negative of the result, and a tile of one level stays within
    1.5 levels of what it was.

    Args:
        image: ``[H, W]`` as preprocessing gives it, each side up to 4096; unchanged.
        spec: its normalisation.
    """
    levels = _grey_levels(image, spec)
    if levels.min() == levels.max():  # one level alone: there is nothing to spread
        unchanged: NDArray[np.float32] = image.copy()
        return unchanged
    tables, white = _tile_tables(levels)
    blended = _blended(tables, levels)
    return _normalised(blended / float(white * 4 * levels.size), spec)


def _grey_levels(image: NDArray[np.float32], spec: PreprocessSpec) -> NDArray[np.intp]:
    display = image.astype(np.float64) * spec.std + spec.mean
    levels: NDArray[np.intp] = np.clip(np.rint(display * (LEVELS - 1)), 0, LEVELS - 1).astype(np.intp)
    return levels


def _normalised(display: NDArray[np.float64], spec: PreprocessSpec) -> NDArray[np.float32]:
    result: NDArray[np.float32] = ((display - spec.mean) / spec.std).astype(np.float32)
    return result


def _tile_tables(levels: NDArray[np.intp]) -> tuple[NDArray[np.int64], int]:
    """What each level becomes in each tile, ``[TILES, TILES, LEVELS]``, and the number that stands for white.

    A pixel counts ``2 * LEVELS ** 2``, so that clip limit, redistributed excess and the middle between two sums are
    whole numbers without rounding. White is at most ``2 ** 35``.
    """
    rows, columns = (_tile_pixels(side) for side in levels.shape)
    tiles = levels[rows[:, None, :, None], columns[None, :, None, :]].reshape(TILES * TILES, -1)
    pixels = tiles.shape[1]
    of_tile = tiles + np.arange(TILES * TILES)[:, None] * LEVELS
    counts = np.bincount(of_tile.ravel(), minlength=TILES * TILES * LEVELS).astype(np.int64)
    clipped = np.minimum(counts.reshape(TILES, TILES, LEVELS) * LEVELS, CLIP * pixels)
    excess = LEVELS * pixels - clipped.sum(axis=-1, keepdims=True)
    heights = clipped * LEVELS + excess
    return 2 * np.cumsum(heights, axis=-1) - heights, 2 * LEVELS**2 * pixels


def _tile_pixels(side: int) -> NDArray[np.intp]:
    """Pixels of each tile along one side, ``[TILES, ceil(side / TILES)]``.

    All tiles are equally large, so that their counts need no common denominator. Where `TILES` does not divide the side
    they overlap by a pixel here and there.
    """
    length = -(-side // TILES)
    starts = np.arange(TILES) * (side - length) // (TILES - 1)
    return starts[:, None] + np.arange(length)


def _blended(tables: NDArray[np.int64], levels: NDArray[np.intp]) -> NDArray[np.int64]:
    """Bilinear mean of what the four tiles around each pixel make of it, times ``4 H W``; at most ``2 ** 61``.

    Goes from one row of tiles' centres to the next, so that what is between stays in the cache.
    """
    height = levels.shape[0]
    before, weight = _tile_before(height)
    blended = np.empty(levels.shape, np.int64)
    for tile in range(-1, TILES):
        band = slice(*np.searchsorted(before, (tile, tile + 1)))
        above = _blended_across(tables[max(tile, 0)], levels[band])
        below = _blended_across(tables[min(tile + 1, TILES - 1)], levels[band])
        blended[band] = above * (2 * height - weight[band, None]) + below * weight[band, None]
    return blended


def _blended_across(tables: NDArray[np.int64], levels: NDArray[np.intp]) -> NDArray[np.int64]:
    """Linear mean, times ``2 W``, of what the tiles on the left and right make of each pixel; `tables` of one row."""
    width = levels.shape[1]
    before, weight = _tile_before(width)
    flat = tables.reshape(-1)
    left = flat[np.maximum(before, 0) * LEVELS + levels]
    right = flat[np.minimum(before + 1, TILES - 1) * LEVELS + levels]
    blended: NDArray[np.int64] = left * (2 * width - weight) + right * weight
    return blended


def _tile_before(side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The last tile whose centre is not behind each pixel's, along one side, and the weight of the tile after it.

    Tiles are numbered from 0, and -1 is before the first one's centre. Both weights add up to ``2 side``: in units of
    ``1 / (2 side)`` of a tile, pixel i's centre lies ``(2 i + 1) TILES - side`` behind the first tile's.
    """
    return np.divmod((2 * np.arange(side, dtype=np.int64) + 1) * TILES - side, 2 * side)
