"""``records.jsonl`` as it is committed: a study's figures and hashes, and nothing about a single image."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import BundleError, DatasetError
from cxr_edge.probability import Interval
from training.reproduce.record import tuples

__all__ = ["KIND", "CellFigures", "Comparison", "StudySummary"]

FORMAT = 1
KIND = "reproduction summary"


@dataclass(frozen=True, slots=True)
class CellFigures:
    """A cell's figures.

    Attributes:
        cell: its name.
        splits, planned: how many models the figures are of, and how many its repeats have.
        repeats: divisions of the images.
        trained_on: images that a model learned from, fewest and most.
        auc, accuracy, sensitivity, specificity: means over splits with their intervals.
        auc_range: of the splits, lowest and highest.
        source: of the predictions.
        training: how the networks were trained, in a few words.
    """

    cell: str
    splits: int
    planned: int
    repeats: int
    trained_on: tuple[int, int]
    auc: Interval
    accuracy: Interval
    sensitivity: Interval
    specificity: Interval
    auc_range: tuple[float, float]
    source: str
    training: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A cell's figures minus those of another, on the same splits and patients."""

    cell: str
    against: str
    splits: int
    auc: Interval
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class StudySummary:
    """What is committed of a study: figures and hashes, nothing about a single image.

    Attributes:
        datasets, labels_sha256, images_sha256, where, release_fold, paper_split, quick, seed: of the study's header.
        images, abnormal, patients: how many the figures are of.
        record_sha256: of the record that they were made from.
        versions: of what computed the predictions.
        cells: in the study's order.
        comparisons: each variant with the whole frame.
    """

    datasets: tuple[str, ...]
    labels_sha256: str
    images_sha256: str
    where: tuple[str, ...]
    release_fold: str | None
    paper_split: bool
    quick: bool
    seed: int
    images: int
    abnormal: int
    patients: int
    record_sha256: str
    versions: dict[str, str]
    cells: tuple[CellFigures, ...] = ()
    comparisons: tuple[Comparison, ...] = ()

    @classmethod
    def read(cls, path: Path) -> StudySummary:
        """The summary in a file.

        Raises:
            DatasetError: no such file, or none that this version wrote.
        """
        try:
            first, *rest = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            if (first.pop("kind", None), first.pop("format", None)) != (KIND, FORMAT):
                raise DatasetError(f"{path} is no summary of a reproduction of format {FORMAT}")
            return cls(
                **tuples(first),
                cells=tuple(CellFigures(**read_figures(line)) for line in rest if "against" not in line),
                comparisons=tuple(Comparison(**read_figures(line)) for line in rest if "against" in line),
            )
        except (OSError, ValueError, TypeError, AttributeError, BundleError) as error:
            raise DatasetError(f"{path} cannot be read as a summary of a reproduction: {error}") from error

    def write(self, path: Path) -> None:
        """Put the summary at a path in one step.

        Raises:
            OutputError: it cannot be written.
        """
        header = {**asdict(replace(self, cells=(), comparisons=())), "kind": KIND, "format": FORMAT}
        del header["cells"], header["comparisons"]
        lines = [header, *map(asdict, self.cells), *map(asdict, self.comparisons)]
        write_atomically(path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode())


def read_figures(line: dict[str, Any]) -> dict[str, Any]:
    """A line of JSON with its intervals and lists as they were."""
    read = {name: Interval.from_json(value) if isinstance(value, dict) else value for name, value in line.items()}
    return tuples(read)
