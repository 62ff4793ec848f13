"""What indexing finds in a release, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Collection", "DatasetKind", "IndexReport", "IndexedImage", "Skipped", "abbreviated"]

DatasetKind = Literal["shenzhen", "montgomery", "nih"]


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """One row of a label file; a blank stands for what the release doesn't say.

    Attributes:
        image: the image file.
        label: 0 normal, 1 abnormal.
        patient_id: the release's own pseudonym; images of one patient share it.
        mask: one file that masks both lungs, or None.
        sex: ``"M"``, ``"F"`` or blank.
        age: whole years, or None.
        findings: the radiologist's reading in the release's words, on one line.
        finding_labels: names of findings separated by ``|`` (NIH).
        view_position: ``"PA"``, ``"AP"`` or blank.
        fold: cross-validation fold, or blank.
        split: ``"train"``, ``"val"``, ``"test"``, or blank.
    """

    image: Path
    label: int
    patient_id: str
    mask: Path | None = None
    sex: str = ""
    age: int | None = None
    findings: str = ""
    finding_labels: str = ""
    view_position: str = ""
    fold: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or entry of the release that has no row, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Collection:
    """What a release holds: usable images, what was left out, and what a reader should know."""

    images: tuple[IndexedImage, ...]
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexReport:
    """The outcome of indexing.

    Attributes:
        kind: which release was read.
        output: the label file that was written.
        rows: its number of images.
        patients: its number of patients.
        class_counts: images by class, keys ``"normal"`` and ``"abnormal"``.
        part_counts: the same for each fold or split.
        skipped: files and entries without a row.
        warnings: one sentence each.
    """

    kind: DatasetKind
    output: Path
    rows: int
    patients: int
    class_counts: Mapping[str, int]
    part_counts: Mapping[str, Mapping[str, int]]
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]


def abbreviated(names: list[str], shown: int = 5) -> str:
    """The first few names, and how many more there are."""
    listed = ", ".join(names[:shown])
    return listed if len(names) <= shown else f"{listed} and {len(names) - shown} more"
