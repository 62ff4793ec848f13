"""``records.jsonl`` of a study: a header on the images, then a line for every model's predictions.

Images stand in it as numbers and patients as numbers, so that figures can be made again from the file alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import DatasetError, UsageError
from training.reproduce.cells import Cell
from training.reproduce.plan import Split

__all__ = ["FORMAT", "PredictionRecord", "StudyHeader", "StudyRecord", "json_copy"]

FORMAT = 1
KIND = "reproduction"


@dataclass(frozen=True, slots=True)
class StudyHeader:
    """On what a study is made.

    Attributes:
        datasets: names of the data sets.
        labels_sha256: of the label file.
        where: filters that chose the images.
        images_sha256: over the image files' bytes, in order.
        labels: of each image, 0 or 1.
        patients: of each image, numbered in order of appearance.
        release_fold: that no model sees, or None.
        paper_split: whether a fifth of the images with masks is held out, as in the paper, instead of folds.
        quick: whether it was only tried out.
        seed: of divisions, heads and trainings.
    """

    datasets: tuple[str, ...]
    labels_sha256: str
    where: tuple[str, ...]
    images_sha256: str
    labels: tuple[int, ...]
    patients: tuple[int, ...]
    release_fold: str | None
    paper_split: bool
    quick: bool
    seed: int


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """What one model of a cell said about the images that it did not see.

    Attributes:
        cell: name of the cell.
        repeat, split, scored: of the split.
        trained_on: how many images.
        held_out: numbers of the predicted images.
        logits: of these images.
        source: ``"features"``, ``"trained"``, or the name of the run that they were taken from.
        config: what decided them.
        setting: what was chosen inside the training images.
        labels_sha256: of the label file.
        versions: of what computed them.
    """

    cell: str
    repeat: int
    split: str
    scored: bool
    trained_on: int
    held_out: tuple[int, ...]
    logits: tuple[float, ...]
    source: str
    config: dict[str, Any]
    setting: dict[str, float]
    labels_sha256: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A header and the predictions made so far."""

    header: StudyHeader
    predictions: tuple[PredictionRecord, ...] = ()

    @classmethod
    def read(cls, path: Path) -> StudyRecord:
        """The record in a file.

        Raises:
            DatasetError: no such file, or none that this version wrote.
        """
        try:
            first, *rest = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            if (first.pop("kind", None), first.pop("format", None)) != (KIND, FORMAT):
                raise DatasetError(f"{path} is no record of a reproduction of format {FORMAT}")
            header = StudyHeader(**tuples(first))
            return cls(header, tuple(PredictionRecord(**tuples(line)) for line in rest))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise DatasetError(f"{path} cannot be read as a record of a reproduction: {error}") from error

    @classmethod
    def resumed(cls, path: Path, header: StudyHeader) -> StudyRecord:
        """The record in a file to go on with, or an empty one where there is no file yet.

        Raises:
            UsageError: the file's study is of other images or another design; the message names what differs.
            DatasetError: the file is no such record.
        """
        if not path.exists():
            return cls(header)
        found = cls.read(path)
        differing = [f.name for f in fields(header) if getattr(found.header, f.name) != getattr(header, f.name)]
        if differing:
            raise UsageError(f"{path} is the record of another study (other {', '.join(differing)}); give another -o")
        return found

    def found(self, cell: Cell, split: Split) -> PredictionRecord | None:
        """What is on record for a split of a cell."""
        wanted = (cell.name, split.repeat, split.name)
        return next((line for line in self.predictions if (line.cell, line.repeat, line.split) == wanted), None)

    def with_prediction(self, line: PredictionRecord) -> StudyRecord:
        """This record with one more line."""
        return StudyRecord(self.header, (*self.predictions, line))

    def write(self, path: Path) -> None:
        """Put the record at a path in one step.

        Raises:
            OutputError: it cannot be written.
        """
        lines: Iterable[dict[str, Any]] = (asdict(line) for line in self.predictions)
        everything = [{"kind": KIND, "format": FORMAT, **asdict(self.header)}, *lines]
        write_atomically(path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in everything).encode())


def json_copy(value: dict[str, Any]) -> dict[str, Any]:
    """The same as JSON gives it back: tuples as lists, so that what was read compares equal to what is asked."""
    copy: dict[str, Any] = json.loads(json.dumps(value))
    return copy


def tuples(line: dict[str, Any]) -> dict[str, Any]:
    """A line of JSON with its lists as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in line.items()}
