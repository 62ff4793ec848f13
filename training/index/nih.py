"""NIH ChestX-ray14 as released (Wang et al., CVPR 2017): one table, images in twelve folders, two official lists."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cxr_edge.errors import DatasetError
from training.index.folder import listed, read_text, why_unusable
from training.index.parts import validation_patients
from training.index.readings import age_in_years, sex_code
from training.index.records import Collection, IndexedImage, Skipped, abbreviated

__all__ = ["collect_nih"]

IMAGE_PATTERNS = ("images/*.png", "images_*/images/*.png", "images_*/*.png")
LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
NORMAL = "No Finding"
SEX_COLUMNS = ("Patient Sex", "Patient Gender")
"""The column was renamed in Data_Entry_2017_v2020.csv."""

REQUIRED_COLUMNS = ("Image Index", "Finding Labels", "Patient ID")


def collect_nih(root: Path, val_share: float, seed: int) -> Collection:
    """The images of the table that are on disk, in the table's order of names, with an official or made-up split.

    ``test`` is the official test list. ``val`` is about ``val_share`` of the other patients, drawn by ``seed`` in equal
    shares from those with and without findings. Where both lists are missing, all patients take part in the draw.

    Args:
        root: the folder that holds the table.
        val_share: share of the patients outside the test list, 0 to 1.
        seed: another seed draws other patients.

    Raises:
        DatasetError: the table or the lists cannot be used, no image is there, or a patient is in both lists.
    """
    table = _table(root)
    lists = _official_lists(root)
    files, repeated = _image_files(root)
    images: list[IndexedImage] = []
    skipped: list[Skipped] = []
    for row in table:
        name = row["Image Index"]
        reason = _unusable(name, files, lists)
        if reason:
            skipped.append(Skipped(name, reason))
        else:
            images.append(_image(row, files[name], "test" if lists and name in lists["test"] else "train"))
    if not images:
        raise DatasetError(f"none of the {len(table)} images in the table was found under {root}")
    listed_names = {row["Image Index"] for row in table}
    skipped += [Skipped(name, "not in the table") for name in sorted(files.keys() - listed_names)]
    images.sort(key=lambda image: image.image.name)
    _require_disjoint(images)
    warnings = _warnings(images, repeated, lists is not None)
    return Collection(_with_validation(images, val_share, seed), tuple(skipped), warnings)


def _table(root: Path) -> list[dict[str, str]]:
    """Rows of the data-entry table; where both versions are there, the corrected one of 2020."""
    path = listed(root, "Data_Entry_2017*.csv")[-1]
    reader = csv.DictReader(read_text(path).splitlines())
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise DatasetError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(columns) or 'none'}")
    rows = [{key: (value or "").strip() for key, value in row.items() if isinstance(key, str)} for row in reader]
    _check_rows(rows, path)
    return rows


def _check_rows(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Raise DatasetError where a row lacks something required or repeats an image."""
    seen: set[str] = set()
    for number, row in enumerate(rows, 2):
        if not all(row[name] for name in REQUIRED_COLUMNS):
            raise DatasetError(f"{path} line {number} lacks image, findings or patient; download the table again")
        if row["Image Index"] in seen:
            raise DatasetError(f"{path} line {number} repeats image {row['Image Index']}; download the table again")
        seen.add(row["Image Index"])


def _official_lists(root: Path) -> dict[str, frozenset[str]] | None:
    """Image names of the official train and test lists, or None where neither is there."""
    present = {part: root / name for part, name in LISTS.items() if (root / name).is_file()}
    if len(present) == 1:
        missing = next(name for part, name in LISTS.items() if part not in present)
        raise DatasetError(f"{root / missing} is missing; add it for the official split, or remove the other list too")
    return {part: frozenset(read_text(path).split()) for part, path in present.items()} or None


def _image_files(root: Path) -> tuple[dict[str, Path], list[str]]:
    """Images on disk by name, and the names that occur in more than one folder (the first one counts)."""
    files: dict[str, Path] = {}
    repeated = []
    for path in _all_images(root):
        if path.name in files:
            repeated.append(path.name)
        else:
            files[path.name] = path
    return files, repeated


def _all_images(root: Path) -> Iterator[Path]:
    """Every image below the folders that the release uses."""
    for pattern in IMAGE_PATTERNS:
        yield from listed(root, pattern)


def _unusable(name: str, files: dict[str, Path], lists: dict[str, frozenset[str]] | None) -> str:
    """Why an entry of the table gets no row, blank if it does."""
    if name not in files:
        return "the image file is missing"
    if lists and not any(name in names for names in lists.values()):
        return "in neither of the official lists"
    return why_unusable(files[name])


def _image(row: dict[str, str], path: Path, split: str) -> IndexedImage:
    """The row of one image."""
    return IndexedImage(
        image=path,
        label=int(row["Finding Labels"] != NORMAL),
        patient_id=row["Patient ID"],
        sex=sex_code(next((row[name] for name in SEX_COLUMNS if name in row), "")),
        age=age_in_years(row.get("Patient Age", "")),
        finding_labels=row["Finding Labels"],
        view_position=row.get("View Position", ""),
        split=split,
    )


def _require_disjoint(images: Sequence[IndexedImage]) -> None:
    """Raise DatasetError where a patient is in both official lists: every figure on that test set would be too good."""
    sides = {split: {i.patient_id for i in images if i.split == split} for split in ("train", "test")}
    shared = sides["train"] & sides["test"]
    if shared:
        raise DatasetError(
            f"{len(shared)} patients have images in both {LISTS['train']} and {LISTS['test']}; "
            "the official lists are patient-disjoint, so one of these files was changed"
        )


def _with_validation(images: Sequence[IndexedImage], share: float, seed: int) -> tuple[IndexedImage, ...]:
    """The images with a part of the training patients moved to ``val``."""
    chosen = validation_patients([image for image in images if image.split == "train"], share, seed)
    return tuple(
        replace(image, split="val") if image.split == "train" and image.patient_id in chosen else image
        for image in images
    )


def _warnings(images: Sequence[IndexedImage], repeated: list[str], has_lists: bool) -> tuple[str, ...]:
    """What a reader of the label file should know."""
    cases = (
        ("have no recognisable sex", [image.image.name for image in images if not image.sex]),
        ("have no usable age", [image.image.name for image in images if image.age is None]),
        ("are in more than one folder; the first one found is used", repeated),
    )
    warnings = [f"{len(names)} images {text}: {abbreviated(names)}" for text, names in cases if names]
    if not has_lists:
        warnings.append(
            f"{LISTS['train']} and {LISTS['test']} are not there: nothing is split off as test, so figures on "
            "this label file cannot be compared with published ones"
        )
    return tuple(warnings)
