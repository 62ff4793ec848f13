"""Random changes keep image and mask together, and are the same for the same seed, epoch and image."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from tiny_lungs import drawn, picture

from cxr_edge.regions.cells import cells_around
from training.dataset import SampleKey
from training.lungs.augment import Placement, augmented, close_up, moved
from training.lungs.config import LungAugmentation
from training.lungs.scores import dice

NOTHING = LungAugmentation(**{field.name: 0.0 for field in fields(LungAugmentation)})
GEOMETRY = LungAugmentation(
    gamma=0, contrast=0, brightness=0, noise=0, inverted=0, turned=0, away=0, texture=0, border=0
)


def batch(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    mask = drawn([(50, 40, 30, 16), (56, 84, 38, 18)])
    image = torch.from_numpy(picture(mask))[None, None].repeat(count, 1, 1, 1)
    share = torch.from_numpy(mask.astype(np.float32))[None, None].repeat(count, 1, 1, 1)
    return image, share


def keys(count: int, epoch: int = 0) -> list[SampleKey]:
    return [SampleKey(index, epoch, 128) for index in range(count)]


def test_no_augmentation_changes_nothing() -> None:
    images, shares = batch(2)
    changed, masks = augmented(images, shares, keys(2), NOTHING, seed=0)
    torch.testing.assert_close(changed, images, atol=1e-5, rtol=0)
    torch.testing.assert_close(masks, shares, atol=1e-5, rtol=0)


def test_the_mask_goes_where_the_picture_goes() -> None:
    images, shares = augmented(*batch(12), keys(12), replace(GEOMETRY, border=0.5), seed=3)
    for image, share in zip(images[:, 0].numpy(), shares[:, 0].numpy(), strict=True):
        inside = share > 0.5
        assert inside.any()
        assert image[inside].mean() < -0.95  # what the mask covers is dark


def test_the_same_seed_epoch_and_image_give_the_same_pair_and_others_do_not() -> None:
    images, shares = batch(3)
    first = augmented(images, shares, keys(3), LungAugmentation(), seed=1)
    again = augmented(images, shares, keys(3), LungAugmentation(), seed=1)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    alone = augmented(images[:1], shares[:1], keys(3)[1:2], LungAugmentation(), seed=1)
    assert torch.equal(alone[0][0], first[0][1])  # whatever else is in the batch
    for other in (
        augmented(images, shares, keys(3, epoch=1), LungAugmentation(), seed=1),
        augmented(images, shares, keys(3), LungAugmentation(), seed=2),
    ):
        assert not torch.equal(other[0], first[0])
    assert not torch.equal(first[0][0], first[0][1])


@pytest.mark.parametrize(
    ("placement", "row", "column"),
    [
        (Placement(right=0.25), 40, 72),
        (Placement(down=-0.125), 24, 40),
        (Placement(mirror=True), 40, 87),
        (Placement(angle=180), 87, 87),
        (Placement(angle=90), 87, 40),
        (Placement(scale=0.5), 52, 52),
    ],
    ids=["right", "up", "mirrored", "upside down", "quarter turn", "shrunk"],
)
def test_a_placement_moves_a_spot_where_it_says(placement: Placement, row: int, column: int) -> None:
    share = np.zeros((128, 128), np.float32)
    share[39:42, 39:42] = 1
    _, shares = moved(torch.zeros(1, 1, 128, 128), torch.from_numpy(share)[None, None], [placement])
    box = cells_around(shares[0, 0].numpy() > 0.4)
    assert box is not None
    assert abs((box.top + box.bottom - 1) / 2 - row) <= 1
    assert abs((box.left + box.right - 1) / 2 - column) <= 1


def test_what_enters_from_outside_has_the_fill_and_no_lung() -> None:
    images, shares = moved(torch.zeros(1, 1, 128, 128), torch.ones(1, 1, 128, 128), [Placement(scale=0.5, fill=1.0)])
    assert float(images[0, 0, 5, 5]) == 1 and float(shares[0, 0, 5, 5]) == 0
    assert float(images[0, 0, 64, 64]) == 0 and float(shares[0, 0, 64, 64]) == 1


def test_the_wrong_polarity_keeps_the_mask() -> None:
    images, shares = batch(1)
    changed, masks = augmented(images, shares, keys(1), replace(NOTHING, inverted=1.0), seed=0)
    torch.testing.assert_close(changed, -images, atol=1e-5, rtol=0)
    torch.testing.assert_close(masks, shares, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["turned", "texture"])
def test_what_is_no_chest_to_be_read_has_an_empty_mask(kind: str) -> None:
    images, shares = batch(4)
    changed, masks = augmented(images, shares, keys(4), replace(NOTHING, **{kind: 1.0}), seed=0)
    assert not masks.any()
    assert torch.isfinite(changed).all() and changed.abs().max() <= 1
    assert not torch.allclose(changed, images, atol=0.1)


def test_at_least_half_of_the_close_ups_show_parts_without_lung() -> None:
    small = drawn([(50, 44, 25, 12), (50, 84, 25, 12)])
    share = torch.from_numpy(small.astype(np.float32))[None, None]
    placements = [close_up(share[0, 0].numpy(), np.random.default_rng(seed)) for seed in range(20)]
    assert all(placement.scale >= 2.5 for placement in placements)
    _, shown = moved(torch.zeros(20, 1, 128, 128), share.repeat(20, 1, 1, 1), placements)
    assert (shown.mean(dim=(1, 2, 3)) < 0.05).sum() >= 10  # now and then no try hits one


def test_masks_that_agree_have_dice_one() -> None:
    assert dice(drawn(), drawn()) == 1.0
