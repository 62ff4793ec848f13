"""The lung localisers of a cross-validation: each image is looked at by the one that never saw its fold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.data_use import DataUse
from cxr_edge.errors import BundleError, DatasetError
from cxr_edge.labels import LabelledImage
from cxr_edge.regions import Localiser

__all__ = ["LOCALISER_FILE", "NO_LOCALISERS", "Localisers", "localiser_path"]

LOCALISER_FILE = "lungs.onnx"
"""Name of a localiser, in the folder of each fold of its cross-validation and in a bundle."""


DATA_USE = "data_use.json"
"""Name of the record beside it of what its training saw."""


@dataclass(frozen=True, slots=True)
class Localisers:
    """Lung localisers by the fold that each never saw.

    Attributes:
        by_fold: none at all for networks that need no lungs.
        files: contents of each one's file, by fold.
        seen: which images and patients each one was trained on, by fold.
    """

    by_fold: Mapping[str, Localiser] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    seen: Mapping[str, DataUse] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, run: Path, images: Sequence[LabelledImage]) -> Localisers:
        """The localisers that a label file's images need.

        Args:
            run: folder of the localisers' cross-validation, with ``fold-K/lungs.onnx``.
            images: each with a fold.

        Raises:
            DatasetError: an image without a fold, or a fold without a localiser that never saw it.
        """
        if any(image.fold is None for image in images):
            raise DatasetError(
                f"--lungs {run}: images without a fold; each is located by the one that never saw its fold"
            )
        return cls.open_folds(run, sorted({image.fold or "" for image in images}))

    @classmethod
    def open_folds(cls, run: Path, folds: Sequence[str]) -> Localisers:
        """The localisers that never saw these folds.

        Raises:
            DatasetError: one is missing, or has no record of what it saw.
        """
        from cxr_edge.lungs import LungLocaliser

        paths = {fold: localiser_path(run, fold) for fold in folds}
        missing = [fold for fold, path in paths.items() if not path.is_file()]
        if missing:
            raise DatasetError(
                f"{run} has no localiser that never saw fold {', '.join(missing)} ({localiser_path(run, missing[0])} "
                "is missing); cross-validate the localiser on the same folds first"
            )
        files = {fold: path.read_bytes() for fold, path in paths.items()}
        seen = {fold: data_use_beside(path) for fold, path in paths.items()}
        return cls({fold: LungLocaliser.open(data) for fold, data in files.items()}, files, seen)

    @property
    def sha256(self) -> dict[str, str]:
        """Of each one's file, by fold: what a run's boxes depend on."""
        return {fold: hashlib.sha256(data).hexdigest() for fold, data in self.files.items()}

    def keep(self, folder: Path) -> None:
        """Write the files into a folder that `open` reads; no folder is made where there are none.

        Raises:
            OutputError: it cannot be written.
        """
        for fold, data in self.files.items():
            path = localiser_path(folder, fold)
            with output_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path.parent / DATA_USE, json.dumps(self.seen[fold].to_json()).encode())
            write_atomically(path, data)

    def of(self, image: LabelledImage) -> Localiser | None:
        """The localiser that never saw an image's fold; None where there are no localisers."""
        return self.by_fold.get(image.fold or "")


NO_LOCALISERS = Localisers()


def data_use_beside(path: Path) -> DataUse:
    """What a localiser's training saw, from the record beside its file.

    Raises:
        DatasetError: there is none, or it cannot be read.
    """
    try:
        return DataUse.from_json(json.loads((path.parent / DATA_USE).read_text()))
    except (OSError, ValueError, BundleError) as error:
        raise DatasetError(f"{path.parent / DATA_USE} does not say what the localiser has seen: {error}") from error


def localiser_path(run: Path, fold: str) -> Path:
    """Where a localisers' cross-validation keeps the one that never saw a fold."""
    return run / f"fold-{fold}" / LOCALISER_FILE
