"""Lungs in training: who locates whose image, what is kept, and views that move with their masks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_lungs import dark_is_lung
from tiny_run import three_folds, tiny_options

from cxr_edge.data_use import DataUse
from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import read_labels
from cxr_edge.records import Box, Radiograph, Window
from cxr_edge.regions import GRID, Region, whole_frame
from training.augment import augmented, augmented_view
from training.config import Augmentation
from training.entry import preprocess_spec
from training.localisers import NO_LOCALISERS, Localisers, localiser_path

STILL = Augmentation(rotation=0, zoom=0, shift=0, flip=0, brightness=0, contrast=0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Localisers of three folds, each with another gain so that they can be told apart."""
    for fold in range(3):
        path = localiser_path(tmp_path / "lungs", str(fold))
        path.parent.mkdir(parents=True)
        path.write_bytes(dark_is_lung(gain=-6.0 - fold))
        (path.parent / "data_use.json").write_text(json.dumps(DataUse().to_json()))
    return tmp_path / "lungs"


def test_each_image_is_located_by_the_localiser_that_never_saw_its_fold(run: Path, tmp_path: Path) -> None:
    images = read_labels(three_folds(tmp_path / "data")).images
    localisers = Localisers.open(run, images)
    for image in images:
        assert localisers.of(image) is localisers.by_fold[image.fold or ""]
    assert len({id(localiser) for localiser in localisers.by_fold.values()}) == 3
    assert NO_LOCALISERS.of(images[0]) is None


def test_a_run_keeps_its_localisers_so_that_they_open_again(run: Path, tmp_path: Path) -> None:
    images = read_labels(three_folds(tmp_path / "data")).images
    localisers = Localisers.open(run, images)
    localisers.keep(tmp_path / "kept")
    assert Localisers.open(tmp_path / "kept", images).sha256 == localisers.sha256
    NO_LOCALISERS.keep(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_missing_folds_and_localisers_are_told(run: Path, tmp_path: Path) -> None:
    images = read_labels(three_folds(tmp_path / "data")).images
    localiser_path(run, "1").unlink()
    with pytest.raises(DatasetError, match="never saw fold 1"):
        Localisers.open(run, images)
    with pytest.raises(DatasetError, match="images without a fold"):
        Localisers.open(run, [replace(images[0], fold=None)])


def test_a_localiser_that_does_not_say_what_it_saw_is_refused(run: Path) -> None:
    (run / "fold-2" / "data_use.json").unlink()
    with pytest.raises(DatasetError, match="does not say what the localiser has seen"):
        Localisers.open_folds(run, ("2",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "body", "margin": 5}, "--margin goes with --variant lungs"),
        ({"variant": "full", "not_found": "body"}, "--not-found goes with --variant lungs"),
        ({"variant": "lungs"}, "needs --lungs"),
        ({"variant": "heart"}, "variant 'heart' is unknown"),
        ({"variant": "lungs", "lungs": Path("x"), "margin": 400}, "margin 400"),
        ({"variant": "lungs", "lungs": Path("x"), "outside": 0.5}, "--outside goes with --variant lungs-masked"),
        ({"variant": "full", "outside": 0.0}, "--outside goes with --variant lungs-masked, not with full"),
        ({"variant": "lungs-masked", "lungs": Path("x"), "outside": 1.5}, "outside 1.5 is no display value"),
        ({"variant": "lungs-masked", "lungs": Path("x"), "outside": float("nan")}, "outside nan"),
    ],
)
def test_options_that_do_not_fit_the_variant_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        preprocess_spec(tiny_options(Path("run"), Path("labels.csv"), **changes), 64)


def test_options_become_the_spec_that_is_recorded() -> None:
    options = tiny_options(Path("run"), Path("labels.csv"), variant="lungs-masked", lungs=Path("x"), margin=12)
    spec = preprocess_spec(options, 64)
    assert (spec.height, spec.variant, spec.margin, spec.not_found) == (64, "lungs-masked", 12, "body")
    assert spec.outside == 0.0
    assert preprocess_spec(replace(options, outside=0.5), 64).outside == 0.5


def frame(height: int = 200, width: int = 160) -> Radiograph:
    return Radiograph(np.random.default_rng(3).integers(0, 256, (height, width), np.uint8), Window(0, 255))


def test_a_view_that_nothing_changes_is_the_crop() -> None:
    box = Box(31, 17, 90, 77)
    view = augmented_view(frame(), Region(box, "body"), STILL, np.random.default_rng(0))
    assert np.array_equal(view.radiograph.pixels, frame().pixels[31:121, 17:94])
    assert view.region.box == Box(0, 0, 90, 77)


def test_the_view_of_a_whole_frame_is_the_augmented_frame() -> None:
    random = Augmentation()
    view = augmented_view(frame(), whole_frame(frame()), random, np.random.default_rng(4))
    assert np.array_equal(view.radiograph.pixels, augmented(frame(), random, np.random.default_rng(4)).pixels)


def test_what_enters_a_view_is_what_the_frame_has_there() -> None:
    white = Radiograph(np.full((200, 200), 255, np.uint8), Window(0, 255))
    turned = replace(STILL, rotation=15.0, shift=0.1)
    view = augmented_view(white, Region(Box(60, 60, 80, 80), "body"), turned, np.random.default_rng(1))
    assert view.radiograph.pixels.min() == 255


def test_a_mask_moves_with_the_pixels_that_it_masks() -> None:
    mask = np.zeros((GRID, GRID), np.bool_)
    mask[40:90, 50:100] = True
    drawn = np.kron(mask, np.ones((4, 4))).astype(np.uint8) * 255
    region = Region(Box(100, 140, 300, 340), "lungs-masked", True, mask)
    strong = Augmentation(rotation=15, zoom=0.2, shift=0.1, flip=0.5, brightness=0, contrast=0)
    for seed in range(5):
        moved = augmented_view(Radiograph(drawn, Window(0, 255)), region, strong, np.random.default_rng(seed))
        view = moved.radiograph
        assert moved.region.mask is not None
        rows = (2 * np.arange(GRID) + 1) * view.height // (2 * GRID)
        columns = (2 * np.arange(GRID) + 1) * view.width // (2 * GRID)
        assert np.mean((view.pixels[np.ix_(rows, columns)] > 127) == moved.region.mask) > 0.98
