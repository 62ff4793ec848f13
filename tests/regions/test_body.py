"""Where the body is: borders go, bodies stay."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cxr_edge.decode import decode
from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.records import Pixels, Radiograph, Window
from cxr_edge.regions import thumbnail
from cxr_edge.regions.body import find_body
from cxr_edge.regions.cells import GRID, CellBox, box_of_cells, whole_grid

PATIENT = phantom(PhantomSpec(height=512, width=512, bits_stored=8, seed=3))


def framed(level: int, top: int, bottom: int, left: int, right: int) -> Radiograph:
    """The phantom of 512 x 512 pixels inside borders of one stored value, so many pixels wide."""
    pixels: Pixels = np.full((512 + top + bottom, 512 + left + right), level, np.uint8)
    pixels[top : top + 512, left : left + 512] = PATIENT.pixels
    return Radiograph(pixels, Window(0, 255))


def body_of(radiograph: Radiograph) -> CellBox:
    return find_body(thumbnail(radiograph)) or whole_grid()


def inverted(radiograph: Radiograph) -> Radiograph:
    return Radiograph(255 - radiograph.pixels, radiograph.window, inverted=True)


@pytest.mark.parametrize("level", [0, 255, 128])
@pytest.mark.parametrize(
    "borders", [(64, 64, 64, 64), (128, 0, 0, 0), (0, 128, 0, 0), (0, 0, 64, 128), (64, 0, 128, 0)]
)
def test_a_border_is_cut_off_and_the_picture_inside_is_not(level: int, borders: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = borders
    radiograph = framed(level, *borders)
    box = box_of_cells(body_of(radiograph), radiograph.height, radiograph.width)
    inside = find_body(thumbnail(PATIENT)) or whole_grid()
    patient = box_of_cells(inside, 512, 512)
    cell = radiograph.height / GRID, radiograph.width / GRID
    assert top - 2 * cell[0] <= box.top <= top + patient.top + 2 * cell[0]
    assert left - 2 * cell[1] <= box.left <= left + patient.left + 2 * cell[1]
    assert box.top + box.height <= radiograph.height - bottom + 2 * cell[0]
    assert box.left + box.width <= radiograph.width - right + 2 * cell[1]


def test_a_marker_in_the_border_does_not_keep_it() -> None:
    plain = framed(0, 64, 64, 96, 96)
    pixels = plain.pixels.copy()
    pixels[80:104, 30:34] = pixels[100:104, 30:50] = 255  # an L, 5 by 4 cells
    assert body_of(Radiograph(pixels, plain.window)) == body_of(plain)


def test_noise_in_the_border_does_not_keep_it() -> None:
    plain = framed(0, 64, 64, 96, 96)
    noise = np.random.default_rng(5).integers(0, 12, plain.pixels.shape).astype(np.uint8)
    noisy = Radiograph(np.maximum(plain.pixels, noise), plain.window)
    assert body_of(noisy) == body_of(plain)


def test_a_radiograph_and_its_inverted_twin_have_the_same_body() -> None:
    random = np.random.default_rng(7)
    for seed in range(12):
        top, bottom, left, right = (int(width) for width in random.integers(0, 150, 4))
        pixels = np.pad(phantom(PhantomSpec(400, 380, bits_stored=8, seed=seed)).pixels, ((top, bottom), (left, right)))
        radiograph = Radiograph(pixels, Window(0, 255))
        assert find_body(thumbnail(inverted(radiograph))) == find_body(thumbnail(radiograph))


@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_constant_picture_has_no_body(level: int) -> None:
    assert find_body(thumbnail(Radiograph(np.full((300, 200), level, np.uint8), Window(0, 255)))) is None


def test_what_is_too_small_for_a_body_is_none() -> None:
    pixels = np.zeros((512, 512), np.uint8)
    pixels[200:280, 200:280] = 200  # 20 cells
    assert find_body(thumbnail(Radiograph(pixels, Window(0, 255)))) is None


def test_a_picture_full_of_body_is_kept_whole() -> None:
    gradient = np.tile(np.linspace(90, 200, 300).astype(np.uint8), (250, 1))
    assert body_of(Radiograph(gradient, Window(0, 255))) == whole_grid()


def test_saturated_tissue_is_no_bar() -> None:
    """An abdomen that fades into white over many rows, unlike a bar, which ends in an edge."""
    rows = np.clip(np.linspace(60, 420, 512), 0, 255).astype(np.uint8)
    pixels = np.repeat(rows[:, None], 512, axis=1) // 2 + PATIENT.pixels // 2
    pixels[400:] = 255
    pixels[300:400] = np.linspace(pixels[300], 255, 100).astype(np.uint8)
    assert body_of(Radiograph(pixels, Window(0, 255))).bottom == GRID


@pytest.mark.real_data
def test_no_lung_of_a_masked_image_is_cut(shenzhen_folder: Path) -> None:
    """A sample; over all 453 masked images every lung pixel is inside."""
    with (shenzhen_folder / "labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mask"]][::40]
    for row in rows:
        radiograph = decode(shenzhen_folder / row["file"])
        lungs = decode(shenzhen_folder / row["mask"]).pixels > 0
        box = box_of_cells(body_of(radiograph), *lungs.shape)
        inside = lungs[box.top : box.top + box.height, box.left : box.left + box.width]
        assert inside.sum() >= 0.999 * lungs.sum() > 0
