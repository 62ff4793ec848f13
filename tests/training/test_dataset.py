from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import SPEC, three_folds

from cxr_edge.decode import decode
from cxr_edge.errors import DatasetError
from cxr_edge.labels import LabelledImage, read_labels
from cxr_edge.preprocess import preprocess
from training import dataset as dataset_module
from training.config import Augmentation
from training.dataset import EpochBatches, RadiographDataset, SampleKey, batches, targets_of
from training.model import NIH_LABELS


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[LabelledImage, ...]:
    return read_labels(three_folds(tmp_path_factory.mktemp("data"), side=64)).images


def dataset(images: tuple[LabelledImage, ...], *, augmented: bool = True, seed: int = 0) -> RadiographDataset:
    augmentation = Augmentation() if augmented else None
    return RadiographDataset(images, targets_of(images, "abnormality"), SPEC, augmentation, seed)


def pixels(data: RadiographDataset, index: int = 0, epoch: int = 0, size: int = 32) -> np.ndarray:
    return data[SampleKey(index, epoch, size)][0].numpy()


def test_the_abnormality_target_is_the_label(images: tuple[LabelledImage, ...]) -> None:
    targets = targets_of(images, "abnormality")
    assert targets.dtype == np.float32
    assert targets[:, 0].tolist() == [image.label for image in images]


def test_an_image_without_label_is_counted_not_taken_for_normal(images: tuple[LabelledImage, ...]) -> None:
    unlabelled = [replace(images[0], label=None), *images[1:]]
    with pytest.raises(DatasetError, match=f"1 of {len(images)} images have no label"):
        targets_of(unlabelled, "abnormality")


def test_nih_targets_stand_in_the_order_of_the_findings(images: tuple[LabelledImage, ...]) -> None:
    normal, ill = targets_of([images[0], images[1]], "nih14")
    assert normal.tolist() == [0.0] * 14
    assert [name for name, target in zip(NIH_LABELS, ill, strict=True) if target] == ["Mass", "Nodule"]


def test_an_image_without_findings_is_counted_not_taken_for_normal(images: tuple[LabelledImage, ...]) -> None:
    with pytest.raises(DatasetError, match="1 of 2 images have an empty finding_labels"):
        targets_of([images[0], replace(images[1], finding_labels=())], "nih14")


def test_a_misspelt_finding_is_named_not_dropped(images: tuple[LabelledImage, ...]) -> None:
    with pytest.raises(DatasetError, match="'Pleural Thickening'"):
        targets_of([replace(images[1], finding_labels=("Pleural Thickening", "Mass"))], "nih14")


def test_a_sample_key_always_gives_the_same_sample(images: tuple[LabelledImage, ...]) -> None:
    np.testing.assert_array_equal(pixels(dataset(images), 2, 5), pixels(dataset(images), 2, 5))


def test_image_epoch_and_seed_each_change_the_augmentation(images: tuple[LabelledImage, ...]) -> None:
    twice = (images[0], replace(images[0], line=99))
    first = pixels(dataset(twice), 0, 0)
    assert not np.array_equal(pixels(dataset(twice), 0, 1), first)
    assert not np.array_equal(pixels(dataset(twice), 1, 0), first)
    assert not np.array_equal(pixels(dataset(twice, seed=1), 0, 0), first)


@pytest.mark.parametrize("size", [32, 64])
def test_without_augmentation_an_image_is_what_the_device_would_see(
    images: tuple[LabelledImage, ...], size: int
) -> None:
    expected = preprocess(decode(images[1].path), replace(SPEC, height=size, width=size))
    image, target = dataset(images, augmented=False)[SampleKey(1, epoch=7, size=size)]
    assert image.shape == (1, size, size)
    np.testing.assert_array_equal(image[0].numpy(), expected)
    assert target.tolist() == [1.0]


@pytest.mark.parametrize(("memory", "decoded"), [(1 << 20, 1), (0, 3)], ids=["fits in memory", "does not fit"])
def test_an_image_is_decoded_once_while_memory_lasts(
    images: tuple[LabelledImage, ...], monkeypatch: pytest.MonkeyPatch, memory: int, decoded: int
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(dataset_module, "CACHE_BYTES", memory)
    monkeypatch.setattr(dataset_module, "decode", lambda path: read.append(path) or decode(path))
    data = dataset(images)
    for epoch in range(3):
        pixels(data, 0, epoch)
    assert len(read) == decoded


def indices(sampler: EpochBatches) -> list[list[int]]:
    return [[key.index for key in batch] for batch in sampler]


def test_without_a_seed_every_image_comes_in_order() -> None:
    sampler = EpochBatches(7, 3, 32)
    assert indices(sampler) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(sampler) == 3


def test_a_seeded_epoch_has_full_batches_of_different_images() -> None:
    sampler = EpochBatches(11, 4, 64, epoch=2, seed=1)
    assert [len(batch) for batch in indices(sampler)] == [4, 4]
    assert len(sampler) == 2
    chosen = [index for batch in indices(sampler) for index in batch]
    assert len(set(chosen)) == 8
    assert {(key.epoch, key.size) for batch in sampler for key in batch} == {(2, 64)}


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(epoch: int, seed: int) -> list[list[int]]:
        return indices(EpochBatches(40, 4, 32, epoch=epoch, seed=seed))

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(1, 0)
    assert order(0, 0) != order(0, 1)


@pytest.mark.parametrize("start", range(4))
def test_starting_later_gives_the_remaining_batches_of_the_same_epoch(start: int) -> None:
    whole = EpochBatches(12, 4, 32, epoch=3, seed=5)
    rest = EpochBatches(12, 4, 32, epoch=3, seed=5, start=start)
    assert indices(rest) == indices(whole)[start:]
    assert len(rest) == 3 - start


def test_fewer_images_than_a_batch_are_still_trained_on() -> None:
    assert sorted(indices(EpochBatches(3, 16, 32, seed=0))[0]) == [0, 1, 2]


def test_reading_batches_leaves_the_global_random_state_alone(images: tuple[LabelledImage, ...]) -> None:
    before = torch.get_rng_state()
    list(batches(dataset(images), EpochBatches(4, 2, 32, seed=0)))
    assert torch.equal(torch.get_rng_state(), before)
