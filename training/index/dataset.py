"""`cxr-edge index`: from a release as its publisher ships it to a label file that training and evaluation read."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import OutputError, UsageError
from training.index.folder import find_release
from training.index.nih import collect_nih
from training.index.nlm import collect_nlm
from training.index.parts import with_folds
from training.index.records import Collection, DatasetKind, IndexedImage, IndexReport

__all__ = ["index_dataset"]

KINDS = ("shenzhen", "montgomery", "nih", "auto")
CLASSES = ("normal", "abnormal")


def index_dataset(
    kind: DatasetKind | Literal["auto"],
    folder: Path,
    output: Path,
    folds: int = 5,
    seed: int = 0,
    val_share: float = 0.1,
    force: bool = False,
) -> IndexReport:
    """What was indexed, after writing the label file; the release itself is only read.

    The NLM sets get a ``fold`` column, stratified by label, mask and sex; ChestX-ray14 gets a ``split`` column with its
    official test list and a validation share. Both are patient-disjoint and the same for every order of files. Columns
    that would be blank in every row are left out; ``file`` and ``mask`` are relative to the label file; ``dataset``
    names the release, because patient ids are unique within one only.

    Args:
        kind: which release; ``"auto"`` recognises it.
        folder: where it was unpacked, or the folder above.
        output: label file to write.
        folds: number of cross-validation folds of an NLM set, at least 2.
        seed: another seed gives other folds or another validation share.
        val_share: share of ChestX-ray14's patients outside the test list that becomes ``val``, 0 to below 1.
        force: replace an existing label file.

    Raises:
        UsageError: an unknown kind, a number out of range, or several releases in the folder.
        DatasetError: the folder cannot be read, or is no such release.
        OutputError: the label file exists already, or cannot be written.
    """
    _check_arguments(kind, folds, val_share)
    if output.exists() and not force:
        raise OutputError(f"{output} exists already; choose another name or force its replacement")
    found, root = find_release(folder, None if kind == "auto" else kind)
    if found == "nih":
        collection = collect_nih(root, val_share, seed)
        images = collection.images
    else:
        collection = collect_nlm(root, found)
        images = with_folds(collection.images, folds, seed)
    write_atomically(output, _csv(found, images, output.parent))
    return _report(found, output, collection, images)


def _check_arguments(kind: str, folds: int, val_share: float) -> None:
    """Raise UsageError where an argument is out of range."""
    if kind not in KINDS:
        raise UsageError(f"dataset kind {kind!r} is unknown; use one of {', '.join(KINDS)}")
    if folds < 2:
        raise UsageError(f"folds={folds} is too few; cross-validation needs at least 2")
    if not 0 <= val_share < 1:
        raise UsageError(f"val_share={val_share} must be at least 0 and below 1")


def _csv(kind: DatasetKind, images: Sequence[IndexedImage], base: Path) -> bytes:
    """The label file: UTF-8, comma-separated, one line an image, columns in a fixed order."""
    columns: dict[str, list[str]] = {
        "file": [_relative(image.image, base) for image in images],
        "label": [str(image.label) for image in images],
        "dataset": [kind] * len(images),
        "patient_id": [image.patient_id for image in images],
        "fold": [image.fold for image in images],
        "split": [image.split for image in images],
        "mask": [_relative(image.mask, base) if image.mask else "" for image in images],
        "sex": [image.sex for image in images],
        "age": ["" if image.age is None else str(image.age) for image in images],
        "view_position": [image.view_position for image in images],
        "finding_labels": [image.finding_labels for image in images],
        "findings": [image.findings for image in images],
    }
    used = {name: values for name, values in columns.items() if any(values)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(used)
    writer.writerows(zip(*used.values(), strict=True))
    return text.getvalue().encode()


def _relative(path: Path, base: Path) -> str:
    """The path from the label file's folder, with forward slashes on every system; a linked image keeps its name."""
    return Path(os.path.relpath(path.parent.resolve() / path.name, base.resolve())).as_posix()


def _report(kind: DatasetKind, output: Path, collection: Collection, images: Sequence[IndexedImage]) -> IndexReport:
    """Counts of what was written, with what was left out."""
    parts = sorted({image.fold or image.split for image in images})
    part_counts = {part: _classes(i for i in images if (i.fold or i.split) == part) for part in parts}
    lacking = [part for part, counts in part_counts.items() if 0 in counts.values()]
    warnings = collection.warnings
    if lacking:
        warnings += (f"images of one class only in {', '.join(lacking)}: no ROC curve can be drawn there",)
    return IndexReport(
        kind=kind,
        output=output,
        rows=len(images),
        patients=len({image.patient_id for image in images}),
        class_counts=_classes(images),
        part_counts=part_counts,
        skipped=collection.skipped,
        warnings=warnings,
    )


def _classes(images: Iterable[IndexedImage]) -> dict[str, int]:
    """Number of images of each class."""
    counts = Counter(CLASSES[image.label] for image in images)
    return {name: counts[name] for name in CLASSES}
