"""From labelled files to batches: decode once, then augment and preprocess with the device's own function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cxr_edge.decode import decode
from cxr_edge.errors import CxrEdgeError, DatasetError, RefusedInputError
from cxr_edge.labels import LabelledImage
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Radiograph
from cxr_edge.regions import Region, locate, region_input
from training.augment import augmented_view
from training.config import Augmentation, Task
from training.localisers import NO_LOCALISERS, Localisers
from training.model import NIH_LABELS

__all__ = ["EpochBatches", "RadiographDataset", "SampleKey", "batches", "targets_of"]

CACHE_BYTES = 4 << 30
"""Decoded pixels kept in memory; larger sets are decoded again in every epoch."""


NO_FINDING = "No Finding"
"""How ChestX-ray14 labels an image with none of the 14 findings."""


@dataclass(frozen=True, slots=True)
class SampleKey:
    """Which image, in which epoch, at which size; augmentation is seeded by it, so any step can be made again."""

    index: int
    epoch: int
    size: int


def targets_of(images: Sequence[LabelledImage], task: Task) -> NDArray[np.float32]:
    """Targets ``[N, K]`` of 0 and 1: K = 1 for normal/abnormal, 14 for the NIH findings.

    Raises:
        DatasetError: an image without a label, without findings, or with a finding that ChestX-ray14 does not have.
    """
    if task == "abnormality":
        unlabelled = sum(image.label is None for image in images)
        if unlabelled:
            raise DatasetError(f"{unlabelled} of {len(images)} images have no label (0 or 1) to train on")
        return np.array([[float(image.label or 0)] for image in images], np.float32)
    unlabelled = sum(not image.finding_labels for image in images)
    if unlabelled:
        raise DatasetError(
            f"{unlabelled} of {len(images)} images have an empty finding_labels; a normal one has {NO_FINDING!r} there"
        )
    unknown = {name for image in images for name in image.finding_labels} - {*NIH_LABELS, NO_FINDING}
    if unknown:
        raise DatasetError(
            f"finding {min(unknown)!r} in column finding_labels is unknown; the 14 are {', '.join(NIH_LABELS)}"
        )
    return np.array([[name in image.finding_labels for name in NIH_LABELS] for image in images], np.float32)


class RadiographDataset(Dataset[tuple[Tensor, Tensor]]):
    """Network inputs and targets of labelled images, addressed by `SampleKey`.

    Args:
        images: what to read.
        targets: ``[N, K]``, as `targets_of` gives them.
        spec: preprocessing; its size is replaced by the key's.
        augmentation: random changes, or None for the images as they are.
        seed: of the augmentation.
        localisers: find the lungs where the spec wants them.
        sides: ``[N, 2]``, findings on the patient's right and left as `training.laterality.sides_of` tells them; None
            where nothing is learned of them.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        targets: NDArray[np.float32],
        spec: PreprocessSpec,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        localisers: Localisers = NO_LOCALISERS,
        sides: NDArray[np.float32] | None = None,
    ) -> None:
        self.images = tuple(images)
        self.targets = targets
        self.spec = spec
        self.augmentation = augmentation
        self.seed = seed
        self.localisers = localisers
        self.sides = sides
        self.regions: dict[int, Region] = {}
        self.cached: dict[int, Radiograph] = {}
        self.cached_bytes = 0

    def __len__(self) -> int:
        return len(self.images)

    def radiograph(self, index: int) -> Radiograph:
        """The decoded image number ``index``, from memory when it was read before and fits.

        Raises:
            DatasetError: the file can't be decoded; the message names it.
        """
        found = self.cached.get(index)
        if found is None:
            try:
                found = decode(self.images[index].path)
            except CxrEdgeError as error:
                raise DatasetError(f"{self.images[index].path} cannot be trained on: {error}") from error
            if self.cached_bytes + found.pixels.nbytes <= CACHE_BYTES:
                self.cached[index] = found
                self.cached_bytes += found.pixels.nbytes
        return found

    def region(self, index: int, radiograph: Radiograph) -> Region:
        """What the network is shown of image number ``index``, found once on the image as it is.

        Args:
            index: of the image.
            radiograph: it, decoded.

        Raises:
            DatasetError: no lungs were found and the spec refuses such images; the message names the file.
        """
        found = self.regions.get(index)
        if found is None:
            image = self.images[index]
            try:
                found = locate(radiograph, self.spec, self.localisers.of(image))
            except RefusedInputError as error:
                raise DatasetError(
                    f"{image.path} cannot be trained on: {error}; leave it out, or train with --not-found body"
                ) from error
            self.regions[index] = found
        return found

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        """Network input ``[1, size, size]`` float32 and target ``[K]`` of one image in one epoch.

        With ``sides``, two more targets tell what stands at the picture's left and at its right.
        """
        radiograph = self.radiograph(key.index)
        region = self.region(key.index, radiograph)
        mirrored = False
        if self.augmentation is not None:
            random = np.random.default_rng((self.seed, key.epoch, key.index))
            view = augmented_view(radiograph, region, self.augmentation, random)
            radiograph, region, mirrored = view.radiograph, view.region, view.mirrored
        image = region_input(radiograph, replace(self.spec, height=key.size, width=key.size), region)
        target = self.targets[key.index]
        if self.sides is not None:
            right, left = self.sides[key.index]
            # The patient's right stands at the picture's left.
            target = np.append(target, np.array((left, right) if mirrored else (right, left), np.float32))
        return torch.from_numpy(image[None]), torch.from_numpy(target)


class EpochBatches(Sampler[list[SampleKey]]):
    """The batches of one epoch, in an order that seed and epoch alone decide, from batch ``start`` on.

    Without a seed the order is the data set's and every image occurs. With one, an incomplete last batch is dropped:
    batch statistics of a few images are too noisy to learn from.
    """

    def __init__(
        self, count: int, batch_size: int, size: int, *, epoch: int = 0, seed: int | None = None, start: int = 0
    ) -> None:
        self.size, self.epoch, self.start, self.batch_size = size, epoch, start, batch_size
        self.order: list[int] = list(range(count))
        self.total = -(-count // batch_size)
        if seed is not None:
            self.order = np.random.default_rng((seed, epoch)).permutation(count).tolist()
            self.total = max(count // batch_size, 1)

    def __len__(self) -> int:
        return self.total - self.start

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for batch in range(self.start, self.total):
            chosen = self.order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [SampleKey(index, self.epoch, self.size) for index in chosen]


def batches(
    dataset: RadiographDataset, sampler: EpochBatches, *, workers: int = 0
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of inputs ``[B, 1, H, W]`` and targets ``[B, K]`` in the sampler's order."""
    # A loader draws a seed for its workers whenever it is iterated. From torch's global generator that draw would shift
    # the dropout masks of a resumed run, which iterates once more than one that was never stopped.
    return DataLoader(dataset, batch_sampler=sampler, num_workers=workers, generator=torch.Generator())
