"""Batches of files: which inputs a folder stands for, where their heatmaps go, and which exit code sums them up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cxr_edge.atomic import output_errors
from cxr_edge.colour_scale import ColourScale
from cxr_edge.errors import BatchError, OutputError, RefusedInputError, UsageError
from cxr_edge.result import Failure, Result

__all__ = ["HeatmapWriter", "exit_code_of", "listed_inputs"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom", ""})
"""Files that a folder contributes; a file that is named itself is read whatever its name."""


def listed_inputs(inputs: Iterable[Path]) -> list[Path]:
    """The files to classify: named files as they are, folders replaced by their image files in order of name.

    Raises:
        UsageError: a folder without any.
    """
    paths: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            paths.append(path)
            continue
        found = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES)
        if not found:
            raise UsageError(f"folder {path} holds no PNG, JPEG or DICOM files")
        paths += found
    return paths


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
        # Neutral at the threshold: averaged over the map, warm outweighs cool exactly when the decision is "abnormal".
        scale = ColourScale(neutral=result.threshold, show_normal=True)
        try:
            result.heatmap.save_png(path, scale)
        except OutputError as error:
            failed = replace(
                result, status="error", probability=None, label=None, logit=None, failure=Failure.of(error)
            )
            return failed, None
        return result, str(path)

    def free_name(self, input_name: str) -> str:
        """``NAME.heatmap.png``, numbered when another input of this batch had the same name."""
        name, number = f"{input_name}.heatmap.png", 1
        while name in self.taken:
            number += 1
            name = f"{input_name}-{number}.heatmap.png"
        self.taken.add(name)
        return name
