"""The images of a study, read once: those that ranges come from, and the unseen ones that parity is measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.ranges import RangeImages, choose_range_images, network_inputs
from cxr_edge.data_use import Footprint, assert_unseen
from cxr_edge.decode import decode
from cxr_edge.errors import CxrEdgeError, DatasetError
from cxr_edge.evaluation.parity import ParityImages, parity_images
from cxr_edge.labels import LabelFile
from cxr_edge.regions import network_input
from export.study.subject import Subject

__all__ = ["ParityInputs", "RangeInputs", "read_parity_inputs", "read_range_inputs"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ParityInputs:
    """Unseen images as network inputs.

    Attributes:
        inputs: ``[N, 1, H, W]``.
        labels: ``[N]`` 0 or 1.
        patients: one id an image.
        sources: each label file with its filters, and how many images it gave; no path of this machine.
        footprint: hashes of images and patients.
    """

    inputs: Floats
    labels: NDArray[np.int64]
    patients: tuple[str, ...]
    sources: tuple[str, ...]
    footprint: Footprint

    @property
    def sha256(self) -> str:
        """Of the inputs' bytes: other images or other preprocessing give another."""
        return hashlib.sha256(np.ascontiguousarray(self.inputs).tobytes()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class RangeInputs:
    """Range images by how many are asked for, decoded once for each number.

    Attributes:
        labels: what they are chosen from.
        subject: gives preprocessing, gate and release fold.
        evaluated: what they must not overlap with.
    """

    labels: LabelFile
    subject: Subject
    evaluated: Footprint
    known: dict[int, tuple[RangeImages, tuple[Floats, ...]]] = field(default_factory=dict)

    def chosen(self, count: int) -> tuple[RangeImages, tuple[Floats, ...]]:
        """The images and their network inputs in batches ``[B, 1, H, W]``.

        Raises:
            DatasetError: fewer than that many development images, or one cannot be read.
            SeenDataError: one is also evaluated.
        """
        if count not in self.known:
            images = choose_range_images(
                self.labels, count, release_fold=self.subject.release_fold, evaluated=self.evaluated
            )
            if len(images.sha256) < count:
                raise DatasetError(f"{len(images.sha256)} images to take ranges from; {count} were asked for")
            subject = self.subject
            inputs = network_inputs(images, subject.preprocess, gate_spec=subject.gate, localiser=subject.localiser)
            self.known[count] = images, inputs
        return self.known[count]

    def stacked(self, count: int) -> Floats:
        """The network inputs as one array ``[count, 1, H, W]``."""
        return np.concatenate(self.chosen(count)[1])


def read_parity_inputs(
    data: Sequence[str], subject: Subject, *, limit: int | None = None, on_image: Callable[[int], None]
) -> ParityInputs:
    """Decode and preprocess the unseen images.

    Args:
        data: label files, each with its own filters behind ``@``, as in ``nih/labels.csv@split=val``.
        subject: must not have seen any of them.
        limit: take only so many from each label file, for a quick look.
        on_image: called with the number of images done.

    Raises:
        SeenDataError: the model has seen some.
        DatasetError: an image without label or that cannot be read: a study leaves none out.
    """
    chosen = parity_images(data)
    if limit is not None:
        chosen = ParityImages(tuple(replace(source, images=source.images[:limit]) for source in chosen.sources))
    seen = chosen.footprint()
    assert_unseen(seen, subject.data_use)
    inputs = []
    for done, image in enumerate(chosen.images, start=1):
        try:
            inputs.append(network_input(decode(image.path), subject.preprocess, subject.localiser)[None])
        except CxrEdgeError as error:
            raise DatasetError(f"line {image.line} of a parity label file cannot be used: {error}") from error
        on_image(done)
    return ParityInputs(
        np.stack(inputs),
        np.concatenate([source.labels() for source in chosen.sources]),
        tuple(patient for source in chosen.sources for patient in source.patients()),
        tuple(described(source) for source in chosen.sources),
        seen,
    )


def read_range_inputs(data: str, subject: Subject, evaluated: Footprint) -> RangeInputs:
    """Where range images are chosen from; none is read yet.

    Raises:
        DatasetError: the label file cannot be used.
        UsageError: a filter that cannot be read, names no column, or leaves nothing.
    """
    return RangeInputs(parity_images([data]).sources[0], subject, evaluated)


def described(source: LabelFile) -> str:
    """A label file and its filters as a reader knows them."""
    folder = Path(source.path).resolve().parent.name
    where = f" where {', '.join(source.where)}" if source.where else ""
    return f"{folder}/{source.path.name}{where}: {len(source.images)} images"
