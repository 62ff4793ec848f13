"""Patient-disjoint folds and validation shares that never depend on the order of files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from training.index.records import IndexedImage

__all__ = ["validation_patients", "with_folds"]


def with_folds(images: Sequence[IndexedImage], folds: int, seed: int) -> tuple[IndexedImage, ...]:
    """The images with a fold each, ``"0"`` to ``str(folds - 1)``; all images of a patient share theirs.

    Patients are grouped by label, mask and sex, ordered by a hash within their group, and dealt out in turn, one group
    after the other. So every class differs by at most one patient between any two folds.

    Args:
        images: rows of one release.
        folds: number of folds.
        seed: another seed gives other folds.
    """
    groups: dict[tuple[int, bool, str], list[str]] = defaultdict(list)
    for patient, own in _by_patient(images).items():
        group = (max(i.label for i in own), any(i.mask for i in own), max(i.sex for i in own))
        groups[group].append(patient)
    dealt = [patient for group in sorted(groups) for patient in _shuffled(groups[group], seed)]
    fold_of = {patient: str(position % folds) for position, patient in enumerate(dealt)}
    return tuple(replace(image, fold=fold_of[image.patient_id]) for image in images)


def validation_patients(images: Sequence[IndexedImage], share: float, seed: int) -> frozenset[str]:
    """About ``share`` of the patients, in equal shares from those who ever had a finding and those who never had one.

    Args:
        images: rows to draw from.
        share: 0 to 1.
        seed: another seed draws other patients.
    """
    groups: dict[int, list[str]] = defaultdict(list)
    for patient, own in _by_patient(images).items():
        groups[max(image.label for image in own)].append(patient)
    return frozenset(
        patient for group in groups.values() for patient in _shuffled(group, seed)[: round(share * len(group))]
    )


def _by_patient(images: Iterable[IndexedImage]) -> dict[str, list[IndexedImage]]:
    """The images of each patient."""
    own: dict[str, list[IndexedImage]] = defaultdict(list)
    for image in images:
        own[image.patient_id].append(image)
    return own


def _shuffled(patients: Iterable[str], seed: int) -> list[str]:
    """The patients in the order of a hash of seed and patient: the same on every machine and for every file order."""
    return sorted(patients, key=lambda patient: (hashlib.sha256(f"{seed}:{patient}".encode()).digest(), patient))
