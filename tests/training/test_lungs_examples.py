"""Thumbnails and masks of a label file, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_lungs import write_chests

from cxr_edge.decode import decode
from cxr_edge.errors import DatasetError
from cxr_edge.labels import LabelFile, read_labels
from cxr_edge.regions.cells import GRID
from cxr_edge.regions.thumbnail import thumbnail
from training.lungs.examples import LungExamples, lung_shares, masked, read_example


@pytest.fixture
def labels(tmp_path: Path) -> LabelFile:
    return read_labels(write_chests(tmp_path / "data", folds=2, per_fold=2, side=192))


def test_images_without_a_mask_are_left_out(labels: LabelFile) -> None:
    assert len(labels.images) == 5
    assert [image.path.name for image in masked(labels.images)] == ["0.png", "1.png", "2.png", "3.png"]


def test_a_data_set_without_any_mask_is_refused(labels: LabelFile) -> None:
    with pytest.raises(DatasetError, match="none of the 1 images has a lung mask; column 'mask'"):
        masked(labels.images[-1:])


def test_examples_are_the_devices_thumbnail_and_the_share_of_each_cell(labels: LabelFile) -> None:
    seen: list[tuple[int, int]] = []
    examples = LungExamples.read(masked(labels.images), lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    np.testing.assert_array_equal(examples.thumbnails[2], thumbnail(decode(labels.images[2].path)))
    mask = np.asarray(Image.open(str(labels.images[2].mask)))
    assert examples.shares[2].mean() == pytest.approx(mask.mean(), abs=1e-6)
    np.testing.assert_array_equal(examples.masks, examples.shares >= 0.5)


def test_chosen_examples_keep_their_own_masks_and_the_hash_tells_them_apart(labels: LabelFile) -> None:
    examples = LungExamples.read(masked(labels.images), lambda done, total: None)
    chosen = examples.chosen([labels.images[3], labels.images[1]])
    np.testing.assert_array_equal(chosen.shares, examples.shares[[3, 1]])
    np.testing.assert_array_equal(chosen.thumbnails, examples.thumbnails[[3, 1]])
    assert chosen.sha256 != examples.sha256 == examples.chosen(examples.images).sha256


@pytest.mark.parametrize("shape", [(GRID, GRID), (256, 384), (100, 300), (7, 5)])
def test_shares_are_exact_areas(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(shape) < 0.5
    shares = lung_shares(mask)
    assert shares.shape == (GRID, GRID) and shares.dtype == np.float32
    assert shares.min() >= 0 and shares.max() <= 1
    assert shares.mean() == pytest.approx(mask.mean(), abs=1e-6)
    if shape == (GRID, GRID):
        np.testing.assert_array_equal(shares, mask)


@pytest.mark.parametrize("white", [255, 65_535, 1])
def test_masks_of_8_and_16_bits_and_of_one_bit_read_alike(labels: LabelFile, tmp_path: Path, white: int) -> None:
    image = labels.images[0]
    expected = read_example(image)[1]
    drawn = np.asarray(Image.open(str(image.mask)))
    pixels = drawn if white == 1 else (drawn * white).astype(np.uint8 if white == 255 else np.uint16)
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_example(replace(image, mask=tmp_path / "mask.png"))[1], expected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.zeros((192, 192), np.bool_), "is empty"),
        (np.ones((192, 96), np.bool_), "has 192x96 pixels but its image has 192x192"),
        (np.zeros((192, 192, 3), np.uint8), "has Pillow mode RGB"),
        (b"", "cannot be read as a picture"),
        (b"\x89PNG\r\n\x1a\n broken", "cannot be read as a picture"),
        (None, "does not exist"),
    ],
    ids=["empty", "size", "colour", "no bytes", "damaged", "missing"],
)
def test_a_mask_that_cannot_be_used_is_named(labels: LabelFile, tmp_path: Path, content: object, reason: str) -> None:
    path = tmp_path / "bad_mask.png"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        Image.fromarray(content).save(path)
    with pytest.raises(DatasetError, match=rf"bad_mask\.png.*{reason}"):
        read_example(replace(labels.images[0], mask=path))


def test_an_image_that_cannot_be_decoded_is_named(labels: LabelFile) -> None:
    labels.images[1].path.write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"1\.png cannot be used for training"):
        LungExamples.read(masked(labels.images), lambda done, total: None)
