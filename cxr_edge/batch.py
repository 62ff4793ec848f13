"""Batches of files: which inputs a folder stands for, where their heatmaps go, and which exit code sums them up."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cxr_edge.atomic import output_errors
from cxr_edge.decode.sniff import SNIFFED_BYTES, sniff
from cxr_edge.errors import (
    BatchError,
    CorruptInputError,
    OutputError,
    RefusedInputError,
    UnsupportedInputError,
    UsageError,
)
from cxr_edge.result import Failure, Result

__all__ = ["HeatmapWriter", "exit_code_of", "listed_inputs"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom"})
"""Names that promise an image: such a file is listed even where it holds none, so that a damaged one is reported."""

MEDIA_INDEX = "DICOMDIR"
"""A DICOM file that lists the images of a medium and is none itself (PS3.10 8.6)."""

MAX_NAME_BYTES = 255
"""Longest file name on every file system in common use."""


def listed_inputs(inputs: Iterable[Path]) -> list[Path]:
    """The files to classify: named files as they are, folders replaced by their image files in order of name.

    A folder contributes what is a PNG, JPEG or DICOM file by its contents or claims to be one by its suffix, from
    all levels below it; hidden files and folders are left out.

    Raises:
        UsageError: a folder without any.
        CorruptInputError: a folder that cannot be listed.
    """
    paths: list[Path] = []
    for path in inputs:
        if not _is_folder(path):
            paths.append(path)
            continue
        found = _images_below(path)
        if not found:
            raise UsageError(f"folder {path} holds no PNG, JPEG or DICOM files")
        paths += found
    return paths


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long, a folder above it closed: reading it will say so, for this input alone
        return False


def _images_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    try:
        for directory, folders, files in os.walk(folder, onerror=_reraise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [path for path in (Path(directory, name) for name in files) if _claims_to_be_an_image(path)]
    except OSError as error:
        raise CorruptInputError(f"cannot list folder {folder}: {error.strerror}; check its permissions") from None
    return sorted(found)


def _reraise(error: OSError) -> None:
    raise error  # os.walk would leave the folder out silently


def _claims_to_be_an_image(path: Path) -> bool:
    if path.name.startswith(".") or path.name == MEDIA_INDEX:
        return False
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        if not path.is_file():  # opening a pipe would wait for a writer
            return False
        with path.open("rb") as file:
            sniff(file.read(SNIFFED_BYTES))
    except OSError:
        return True  # nobody knows what it holds: it is reported, not left out
    except (CorruptInputError, UnsupportedInputError):
        return False
    return True


def exit_code_of(results: Sequence[Result]) -> int:
    """The exit code of a batch: 0 when all are ok, a single input's own code, 10 when any of several was not ok."""
    if all(result.status == "ok" for result in results):
        return 0
    if len(results) > 1:
        return BatchError.exit_code
    failure = results[0].failure
    return failure.exit_code if failure else RefusedInputError.exit_code


class HeatmapWriter:
    """Writes one heatmap picture per classified image into a folder, under names that don't collide.

    Args:
        folder: where to; made when it doesn't exist.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taken: set[str] = set()
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, result: Result) -> tuple[Result, str | None]:
        """The result and its picture's path; a picture that can't be written turns the result into an error."""
        if result.status != "ok":
            return result, None
        path = self.folder / self.free_name(Path(result.path).name if result.path else "image")
        try:
            result.heatmap.save_png(path)
        except OutputError as error:
            failed = replace(
                result, status="error", probability=None, label=None, logit=None, failure=Failure.of(error)
            )
            return failed, None
        return result, str(path)

    def free_name(self, input_name: str) -> str:
        """``NAME.heatmap.png``, numbered when another input of this batch had the same name, of at most 255 bytes."""
        name, number = _joined(input_name, ".heatmap.png"), 1
        while name in self.taken:
            number += 1
            name = _joined(input_name, f"-{number}.heatmap.png")
        self.taken.add(name)
        return name


def _joined(stem: str, suffix: str) -> str:
    """Stem and suffix; a stem without room ends in 8 digits of its own hash instead, so that different ones differ."""
    encoded, room = os.fsencode(stem), MAX_NAME_BYTES - len(suffix)
    if len(encoded) > room:
        digest = hashlib.sha256(encoded).hexdigest()[:8]
        stem = f"{encoded[: room - 9].decode(errors='ignore')}-{digest}"
    return stem + suffix
