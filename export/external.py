"""What becomes of a bundle on images of other hospitals: figures of their own, apart from those of its release fold.

Another hospital's equipment, case mix and meaning of "abnormal" differ all at once, so these figures say how far the
bundle may be trusted elsewhere, not how good it is at what it was made for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_edge.classifier import Classifier
from cxr_edge.data_use import Footprint, footprint
from cxr_edge.errors import DatasetError, SeenDataError, UsageError
from cxr_edge.evaluation import Evaluation, evaluate
from cxr_edge.evaluation.measure import measure
from cxr_edge.evaluation.parity import parity_images
from cxr_edge.labels import LabelFile

__all__ = ["ExternalFigures", "external_figures", "read_external"]


@dataclass(frozen=True, slots=True)
class ExternalFigures:
    """A bundle's figures on one data set of other origin.

    Attributes:
        name: of the label file, with its folder.
        sha256: of the label file.
        where: the filters that chose the images.
        refused: images that the input gate refused; they are not in the figures.
        evaluation: of all others.
    """

    name: str
    sha256: str
    where: tuple[str, ...]
    refused: int
    evaluation: Evaluation

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; it may hold numbers that are not finite."""
        return {
            **self.evaluation.to_json(),
            "data": {"name": self.name, "sha256": self.sha256, "where": list(self.where)},
            "refused": self.refused,
        }


def read_external(data: Sequence[str], subgroups: Sequence[str]) -> tuple[LabelFile, ...]:
    """The label files, checked for what their figures will need.

    Args:
        data: paths, each with filters of its own if need be, as for `parity_images`.
        subgroups: columns to tabulate by; every file is tabulated by those that it has.

    Raises:
        DatasetError: a file that cannot be used, or an image without label.
        UsageError: a filter that cannot be read, names no column, or leaves nothing; or a column that no file has.
    """
    files = tuple(parity_images([entry]).sources[0] for entry in data)
    for file in files:
        file.labels()
    for column in subgroups:
        if not any(column in file.images[0].columns for file in files):
            raise UsageError(
                f"--external-subgroup {column}: no column of that name in {listed(files) or 'any --external-data'}"
            )
    return files


def refuse_own(files: Iterable[LabelFile], own: Footprint) -> None:
    """Return when no image and no patient of these files is among the bundle's own release images.

    Args:
        files: of other origin.
        own: the release fold.

    Raises:
        SeenDataError: some are: the same images would count as its own and as another hospital's.
        DatasetError: an image cannot be read.
    """
    for file in files:
        found = footprint(file)
        images, patients = len(found.images & own.images), len(found.patients & own.patients)
        if images or patients:
            raise SeenDataError(
                f"{images} images and {patients} patients of {file.path} are of the release fold, on which the "
                "bundle's own figures are measured; --external-data takes images of other origin"
            )


def external_figures(bundle: Path, files: Sequence[LabelFile], subgroups: Sequence[str]) -> tuple[ExternalFigures, ...]:
    """Figures of a bundle's default precision on ONNX Runtime for each of the files.

    Args:
        bundle: its directory.
        files: labelled images of other origin.
        subgroups: columns to tabulate by; each file by those that it has.

    Raises:
        SeenDataError: the bundle has seen some of the images.
        DatasetError: an image that cannot be read: figures must not leave images out silently.
    """
    if not files:
        return ()
    with Classifier.open(bundle, engine="onnxruntime") as classifier:
        return tuple(figures_of(classifier, file, subgroups) for file in files)


def figures_of(classifier: Classifier, file: LabelFile, subgroups: Sequence[str]) -> ExternalFigures:
    """Figures of one file."""
    result = measure(classifier, file)
    if result.failed:
        path, failure = result.failed[0]
        raise DatasetError(f"{len(result.failed)} external images cannot be read, the first {path}: {failure.message}")
    columns = [column for column in subgroups if column in file.images[0].columns]
    temperature = classifier.bundle.manifest.temperature
    evaluation = evaluate(result.predictions, temperature, classifier.operating_point, columns, result.stamp)
    return ExternalFigures(short_name(file), file.sha256, file.where, len(result.refused), evaluation)


def listed(files: Iterable[LabelFile]) -> str:
    """The files' names."""
    return ", ".join(short_name(file) for file in files)


def short_name(file: LabelFile) -> str:
    """The file with its folder: label files are mostly called alike, and the rest of the path is this machine's."""
    return f"{file.path.resolve().parent.name}/{file.path.name}"
