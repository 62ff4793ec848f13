"""Reading ``labels.csv``: which images a data set has and what is known about each.

Columns: ``file`` (relative to the CSV) and ``label`` (0 normal, 1 abnormal; ``finding_labels`` may stand in for it);
optional ``patient_id``, ``dataset``, ``fold``, ``split``, ``mask``, ``finding_labels`` ('|'-separated) and any other.
A label file is the user's own, so paths may lead out of its folder (``../images/1.png``) or be absolute.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import DatasetError, ResourceLimitError, UsageError
from cxr_edge.row_filter import RowFilter

__all__ = ["LabelFile", "LabelledImage", "assert_patient_disjoint", "patients_shared", "read_labels"]

MAX_BYTES = 256 * 1024 * 1024
"""Largest label file read; the 112,120 rows of the whole ChestX-ray14 take about 10 MB."""

LISTED_FILES = 5
"""Missing files that an error names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One row of a label file.

    Attributes:
        path: the image, as ``file`` resolves against the folder of the CSV.
        label: 0 normal, 1 abnormal, None where the cell is empty.
        patient_id: as in the CSV; the file's stem where the column or the cell is empty, so that every file then counts
            as a patient of its own.
        dataset: namespace of the patient id: the ``dataset`` cell, else the name of the folder that holds the CSV.
        fold, split: None where empty.
        finding_labels: the '|'-separated findings, in the order of the CSV.
        mask: lung mask, resolved like ``path``; None where empty.
        columns: every cell of the row by column name, stripped of surrounding blanks.
        line: line of the CSV that the row ends on, counted from 1.
    """

    path: Path
    label: int | None
    patient_id: str
    dataset: str
    fold: str | None
    split: str | None
    finding_labels: tuple[str, ...]
    mask: Path | None
    columns: Mapping[str, str]
    line: int

    @property
    def patient(self) -> tuple[str, str]:
        """Data set and patient id: patients of different data sets never collide."""
        return self.dataset, self.patient_id


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The rows that were asked for.

    Attributes:
        path: the CSV.
        images: in the order of the CSV, at least one.
        sha256: of the CSV's bytes, hexadecimal; of the whole file whatever the filter.
        where: the filter expressions that chose the images.
    """

    path: Path
    images: tuple[LabelledImage, ...]
    sha256: str
    where: tuple[str, ...] = ()

    def labels(self) -> NDArray[np.int64]:
        """The 0/1 label of every image, ``[n]``.

        Raises:
            DatasetError: an image has none; the message gives the first line and how many.
        """
        missing = [image.line for image in self.images if image.label is None]
        if missing:
            raise DatasetError(f"{self.path}:{missing[0]}: no label in column 'label' ({len(missing)} such rows)")
        return np.array([image.label for image in self.images], dtype=np.int64)

    def patients(self) -> tuple[str, ...]:
        """One id an image, equal for images of the same patient of the same data set."""
        return tuple(f"{image.dataset}/{image.patient_id}" for image in self.images)

    def column(self, name: str) -> tuple[str, ...]:
        """One cell an image; empty cells are empty text.

        Raises:
            UsageError: no such column; the message lists those there are.
        """
        columns = self.images[0].columns
        if name not in columns:
            raise UsageError(f"{self.path}: no column {name!r}; there are: {', '.join(columns)}")
        return tuple(image.columns[name] for image in self.images)


def read_labels(csv_path: Path, where: Sequence[str] = ()) -> LabelFile:
    """The images of a label file that match every filter expression.

    The whole file is checked; that images and masks exist is checked for the chosen rows only, so that a part of a data
    set can be used with its full label file.

    Args:
        csv_path: UTF-8, with or without byte-order mark.
        where: ``column=value`` or ``column!=value``, all of which must hold; cells are compared as text.

    Raises:
        DatasetError: no such file, not CSV, a missing column, a bad label, a file listed twice, files that don't exist.
        UsageError: a filter that cannot be read, names no column, or leaves nothing.
        ResourceLimitError: larger than 256 MiB.
    """
    data = _file_bytes(csv_path)
    columns, rows = _rows(csv_path, data)
    folder = csv_path.parent.resolve().name
    images = [_image(csv_path, line, row, folder) for line, row in rows]
    _refuse_duplicates(csv_path, images)
    for expression in where:
        images = _chosen(RowFilter.parse(expression, columns), images)
    _refuse_missing(csv_path, images)
    return LabelFile(csv_path, tuple(images), hashlib.sha256(data).hexdigest(), tuple(where))


def patients_shared(some: LabelFile, other: LabelFile) -> int:
    """How many patients have images in both; splits of one data set must give 0."""
    return len({image.patient for image in some.images} & {image.patient for image in other.images})


def assert_patient_disjoint(label_file: LabelFile, column: str) -> None:
    """Return when no patient has images under two values of a column such as ``fold`` or ``split``.

    Raises:
        UsageError: no such column.
        DatasetError: there are such patients; the message counts them.
    """
    places: dict[str, set[str]] = {}
    for patient, value in zip(label_file.patients(), label_file.column(column), strict=True):
        places.setdefault(patient, set()).add(value)
    split = sum(len(values) > 1 for values in places.values())
    if split:
        raise DatasetError(
            f"{label_file.path}: {split} of {len(places)} patients have images under several values of {column!r}; "
            "give all images of a patient the same"
        )


def _file_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ResourceLimitError(f"label file {path} has {size} bytes; the limit is {MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read label file {path}: {error.strerror}") from error


def _rows(path: Path, data: bytes) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """Column names, and line number and cells of every row that is not blank."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            f"{path}:{line}: not UTF-8 (byte {data[error.start]:#04x}); save the CSV as UTF-8"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(name.strip() for name in next(reader, []))
        _check_header(path, header)
        rows = [(reader.line_num, _cells(path, reader.line_num, header, row)) for row in reader if row]
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num}: not a CSV file: {error}") from error
    if not rows:
        raise DatasetError(f"{path}: no rows below the header")
    return header, rows


def _check_header(path: Path, header: tuple[str, ...]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DatasetError(f"{path}:1: column {twice[0]!r} occurs twice")
    if "file" not in header or not {"label", "finding_labels"} & set(header):
        raise DatasetError(
            f"{path}:1: needs the columns 'file' and 'label' (or 'finding_labels'), comma-separated; "
            f"it has: {', '.join(header[:12]) or 'nothing'}"
        )


def _cells(path: Path, line: int, header: tuple[str, ...], row: list[str]) -> dict[str, str]:
    if len(row) != len(header):
        raise DatasetError(f"{path}:{line}: {len(row)} cells for {len(header)} columns")
    return {name: cell.strip() for name, cell in zip(header, row, strict=True)}


def _image(csv_path: Path, line: int, row: dict[str, str], folder: str) -> LabelledImage:
    file, label, mask = row["file"], row.get("label", ""), row.get("mask", "")
    if not file or "\0" in file + mask:
        raise DatasetError(f"{csv_path}:{line}: column 'file' is empty or holds a NUL character")
    if label not in ("", "0", "1"):
        raise DatasetError(f"{csv_path}:{line}: label {label[:20]!r} is not 0 (normal) or 1 (abnormal)")
    path = csv_path.parent / file
    findings = row.get("finding_labels", "").split("|")
    return LabelledImage(
        path=path,
        label=int(label) if label else None,
        patient_id=row.get("patient_id") or path.stem,
        dataset=row.get("dataset") or folder,
        fold=row.get("fold") or None,
        split=row.get("split") or None,
        finding_labels=tuple(name.strip() for name in findings if name.strip()),
        mask=csv_path.parent / mask if mask else None,
        columns=row,
        line=line,
    )


def _chosen(condition: RowFilter, images: list[LabelledImage]) -> list[LabelledImage]:
    kept = [image for image in images if condition.matches(image.columns)]
    if not kept:
        values = condition.values_seen([image.columns for image in images])
        raise UsageError(
            f"filter {condition} leaves no image; among the {len(images)} images that it was asked of, column "
            f"{condition.column!r} has: {values}"
        )
    return kept


def _refuse_duplicates(csv_path: Path, images: Sequence[LabelledImage]) -> None:
    lines: dict[str, int] = {}
    for image in images:
        first = lines.setdefault(os.path.normpath(image.path), image.line)
        if first != image.line:
            raise DatasetError(f"{csv_path}:{image.line}: the same file as on line {first}: {image.columns['file']}")


def _refuse_missing(csv_path: Path, images: Sequence[LabelledImage]) -> None:
    paths = [path for image in images for path in (image.path, image.mask) if path is not None]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        listed = ", ".join(missing[:LISTED_FILES]) + (", ..." if len(missing) > LISTED_FILES else "")
        raise DatasetError(f"{csv_path}: {len(missing)} of {len(paths)} files do not exist: {listed}")
