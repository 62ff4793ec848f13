"""``records.jsonl`` of the study: a header on the images, then a line for every model.

Images and patients stand in it as numbers; figures and pictures can be made again from the file alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import DatasetError

__all__ = ["MAP_SIDE", "OcclusionHeader", "OcclusionRecord", "OcclusionStudy"]

FORMAT = 1
KIND = "occlusion"

MAP_SIDE = 28
"""Cells along either side of the mean evidence maps, over the whole frame."""


@dataclass(frozen=True, slots=True)
class OcclusionHeader:
    """On what the study is made.

    Attributes:
        datasets: names of the data sets.
        labels_sha256: of the label file.
        release_fold: whose images no model of the study judges, or None.
        labels: of each image, 0 or 1.
        patients: of each image, numbered in order of appearance.
        seed: of the bootstrap.
    """

    datasets: tuple[str, ...]
    labels_sha256: str
    release_fold: str | None
    labels: tuple[int, ...]
    patients: tuple[int, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class OcclusionRecord:
    """What one model said of the images that it did not see.

    Attributes:
        run: name of the run's folder.
        member: of the run.
        model_sha256: of the model's file: another training is another model, whatever its folder is called.
        variant: which part of the frame the model is shown.
        images: numbers of the images in which lungs were found.
        without_lungs: how many others there are.
        logits: of the images as they are.
        hidden: logits by ``"part/way"``.
        shares: share of the network's input that each part covers, mean over the images.
        evidence: share of the evidence for the decision that lies on the lungs; None where there is no evidence.
        covered: share of the heatmap that the lungs cover.
        maps: mean evidence in logits over the whole frame by true class, ``[MAP_SIDE * MAP_SIDE]`` by rows.
        lungs: mean lung mask likewise, all images.
        versions: of what computed it.
    """

    run: str
    member: str
    model_sha256: str
    variant: str
    images: tuple[int, ...]
    without_lungs: int
    logits: tuple[float, ...]
    hidden: dict[str, tuple[float, ...]]
    shares: dict[str, float]
    evidence: tuple[float | None, ...]
    covered: tuple[float, ...]
    maps: dict[str, tuple[float, ...]]
    lungs: tuple[float, ...]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class OcclusionStudy:
    """The whole record; `with_line` gives one with another model's line."""

    header: OcclusionHeader
    lines: tuple[OcclusionRecord, ...] = ()

    @classmethod
    def read(cls, path: Path) -> OcclusionStudy:
        """The record in a file.

        Raises:
            DatasetError: it cannot be read, or is none of this format.
        """
        try:
            first, *rest = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            if (first.pop("kind"), first.pop("format")) != (KIND, FORMAT):
                raise DatasetError(f"{path} is no record of this study in format {FORMAT}")
            return cls(_made(OcclusionHeader, first), tuple(_made(OcclusionRecord, line) for line in rest))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{path} is no record of an occlusion study ({type(error).__name__}: {error})"
            ) from error

    def has(self, run: str, member: str, model_sha256: str) -> bool:
        """Whether a model is on record."""
        return any((line.run, line.member, line.model_sha256) == (run, member, model_sha256) for line in self.lines)

    def with_line(self, line: OcclusionRecord) -> OcclusionStudy:
        """The record with one more line, which takes the place of an older model's of the same run and member."""
        kept = [one for one in self.lines if (one.run, one.member) != (line.run, line.member)]
        return OcclusionStudy(self.header, (*kept, line))

    def write(self, path: Path) -> None:
        """Replace a file by this record.

        Raises:
            OutputError: it cannot be written.
        """
        header = {"kind": KIND, "format": FORMAT, **asdict(self.header)}
        lines = [header, *(asdict(line) for line in self.lines)]
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        write_atomically(path, text.encode())


def _made(kind: Any, value: dict[str, Any]) -> Any:
    """A record of JSON, its lists as tuples; every field must be there, and no other."""
    if set(value) != {field.name for field in fields(kind)}:
        raise ValueError(f"fields {', '.join(sorted(value))}")
    return kind(**{name: _frozen(part) for name, part in value.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(part) for part in value)
    return {name: _frozen(part) for name, part in value.items()} if isinstance(value, dict) else value
