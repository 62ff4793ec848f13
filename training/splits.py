"""Who is trained on and who is predicted: patient-disjoint members of a run.

A run has one member per fold (cross-validation) or a single member (a held-out split). With a release fold, no other
member sees it: the members of the development folds train on the remaining development folds alone, so their
out-of-fold predictions may fit the temperature and the operating points of a bundle that is then measured on the
release fold ("Who may see what" in docs/architecture.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import LabelledImage

__all__ = ["Member", "cross_validation", "held_out_share", "patient_numbers", "whole_set"]

FOLD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A fold names a folder of the run."""


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a run.

    Attributes:
        name: folder name within the run, such as ``"fold-2"``.
        fold: the fold that is predicted, or None.
        training: images that the weights may see.
        held_out: images that are predicted after training and never influence it.
    """

    name: str
    fold: str | None
    training: tuple[LabelledImage, ...]
    held_out: tuple[LabelledImage, ...]

    def __post_init__(self) -> None:
        shared = {i.patient for i in self.training} & {i.patient for i in self.held_out}
        if shared:
            raise DatasetError(
                f"{len(shared)} patients are both trained on and held out in {self.name}; "
                "give all images of a patient the same fold"
            )
        if not self.training:
            raise DatasetError(f"{self.name} has no images to train on")


def cross_validation(images: Sequence[LabelledImage], release_fold: str | None = None) -> tuple[Member, ...]:
    """One member per value of the ``fold`` column, in order.

    Args:
        images: labelled images, each with a fold.
        release_fold: this fold is predicted by one member and seen by none; None for plain cross-validation.

    Raises:
        DatasetError: an image without a fold, fewer than two folds, a fold that cannot name a folder or has one class
            only, or patients with images in several folds.
        UsageError: a release fold that does not occur.
    """
    missing = sum(image.fold is None for image in images)
    if missing:
        raise DatasetError(f"{missing} of {len(images)} images have no fold; add a fold column (`cxr-edge index` does)")
    folds = sorted({str(image.fold) for image in images})
    if len(folds) < 2:
        raise DatasetError(f"cross-validation needs at least two folds; found {folds}")
    if release_fold is not None and release_fold not in folds:
        raise UsageError(f"release fold {release_fold!r} does not occur; the label file has folds {', '.join(folds)}")
    for fold in folds:
        if not FOLD_NAME.fullmatch(fold):
            raise DatasetError(f"fold {fold[:80]!r} cannot name a folder; use letters, digits, '.', '_' and '-'")
        classes = {image.label for image in images if image.fold == fold}
        if len(classes) < 2:
            raise DatasetError(f"fold {fold} has images of one class only; every fold needs both")
    return tuple(
        Member(
            name=f"fold-{fold}",
            fold=fold,
            training=tuple(i for i in images if i.fold not in (fold, release_fold)),
            held_out=tuple(i for i in images if i.fold == fold),
        )
        for fold in folds
    )


def held_out_share(images: Sequence[LabelledImage], share: float, seed: int) -> Member:
    """A single member with a patient-disjoint held-out part, chosen by a hash of seed and patient.

    Args:
        images: images to divide.
        share: about this share of the patients is held out, between 0 and 1.
        seed: another seed holds out other patients.

    Raises:
        DatasetError: nobody is left to train on.
    """
    chosen = {image.patient_id for image in images if hashed_share(image.patient_id, seed) < share}
    return Member(
        name="model",
        fold=None,
        training=tuple(i for i in images if i.patient_id not in chosen),
        held_out=tuple(i for i in images if i.patient_id in chosen),
    )


def whole_set(images: Sequence[LabelledImage]) -> Member:
    """A single member that trains on every image and predicts none.

    Raises:
        DatasetError: there are no images.
    """
    return Member(name="model", fold=None, training=tuple(images), held_out=())


def hashed_share(patient_id: str, seed: int) -> float:
    """A number in [0, 1) that depends on patient and seed alone, so that order and other patients don't matter."""
    digest = hashlib.sha256(f"{seed}:{patient_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def patient_numbers(images: Sequence[LabelledImage]) -> tuple[int, ...]:
    """Each image's patient as a number, in order of appearance: records tell patients apart without naming them."""
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(image.patient for image in images))}
    return tuple(numbers[image.patient] for image in images)
