"""What every cell of a study is made from: the images, where networks start, and what finds the lungs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cxr_edge.data_use import image_sha256
from cxr_edge.labels import LabelFile, LabelledImage
from training.dataset import targets_of
from training.localisers import Localisers
from training.reproduce.starts import Start

__all__ = ["Material", "StudyWatcher", "digest_of"]


@dataclass(frozen=True, slots=True)
class StudyWatcher:
    """How a study reports and is stopped.

    Attributes:
        step: called with what is being done, how much of it is, and how much there is.
        note: called with what a user should read, one line each.
        stop_requested: asked where stopping is safe.
    """

    step: Callable[[str, float, float], None] = lambda text, done, total: None
    note: Callable[[str], None] = lambda text: None
    stop_requested: Callable[[], bool] = lambda: False

    def check_stop(self) -> None:
        """Return unless a stop was asked for.

        Raises:
            KeyboardInterrupt: it was; what is on record stays there.
        """
        if self.stop_requested():
            raise KeyboardInterrupt


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The study's images and what their predictions are made with.

    Attributes:
        labels: the label file, cut down to the study's images.
        starts: where networks start, by name.
        localisers: find the lungs; none where no variant needs them.
        directory: of the study; receives the work files.
        device: where to compute.
    """

    labels: LabelFile
    starts: Mapping[str, Start]
    localisers: Localisers
    directory: Path
    device: torch.device

    @property
    def images(self) -> tuple[LabelledImage, ...]:
        """The study's images; everywhere else they are numbers into this tuple."""
        return self.labels.images

    @property
    def truth(self) -> NDArray[np.int64]:
        """``[n]`` 0 normal, 1 abnormal.

        Raises:
            DatasetError: an image has no label.
        """
        return targets_of(self.images, "abnormality")[:, 0].astype(np.int64)

    def chosen(self, numbers: Sequence[int]) -> tuple[LabelledImage, ...]:
        """The images of these numbers."""
        return tuple(self.images[number] for number in numbers)


def digest_of(images: Sequence[LabelledImage]) -> str:
    """SHA-256 over the images' bytes in order, 64 hexadecimal digits: another picture is another study."""
    return hashlib.sha256("".join(image_sha256(image.path) for image in images).encode()).hexdigest()
