"""Thumbnails with their lung masks: the localiser's whole data set, small enough to stay in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cxr_edge.decode import decode
from cxr_edge.errors import CxrEdgeError, DatasetError
from cxr_edge.labels import LabelledImage
from cxr_edge.preprocess.reference import area_weights
from cxr_edge.regions.cells import GRID
from cxr_edge.regions.thumbnail import thumbnail

__all__ = ["LungExamples", "lung_shares", "masked", "read_example"]

GREY_WHITE = {"1": 1, "L": 255, "I;16": 65_535}
"""Pillow's grey modes that a mask may have, with what displays white."""

Shares = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LungExamples:
    """Images with masks, in the order of the label file.

    Attributes:
        images: their rows.
        thumbnails: ``[N, 128, 128]`` float32, the device's own preprocessing, about [-1, 1].
        shares: ``[N, 128, 128]`` float32, how much of each cell the mask covers, 0 to 1.
    """

    images: tuple[LabelledImage, ...]
    thumbnails: NDArray[np.float32]
    shares: Shares

    @classmethod
    def read(cls, images: Sequence[LabelledImage], progress: Callable[[int, int], None]) -> LungExamples:
        """Decode every image and its mask.

        Args:
            images: rows that all have a mask.
            progress: called with how many are read and how many there are.

        Raises:
            DatasetError: an image or mask that cannot be used; the message names its file.
        """
        thumbnails = np.empty((len(images), GRID, GRID), np.float32)
        shares = np.empty((len(images), GRID, GRID), np.float32)
        for number, image in enumerate(images):
            thumbnails[number], shares[number] = read_example(image)
            progress(number + 1, len(images))
        return cls(tuple(images), thumbnails, shares)

    def chosen(self, images: Sequence[LabelledImage]) -> LungExamples:
        """The examples of some of the images, in the order given."""
        places = {image.path: number for number, image in enumerate(self.images)}
        numbers = [places[image.path] for image in images]
        return LungExamples(tuple(images), self.thumbnails[numbers], self.shares[numbers])

    @property
    def masks(self) -> NDArray[np.bool_]:
        """``[N, 128, 128]``: cells at least half of which are lung."""
        return self.shares >= 0.5

    @property
    def sha256(self) -> str:
        """Of everything that training sees, hexadecimal: another decoder, mask or order gives another one."""
        return hashlib.sha256(self.thumbnails.tobytes() + self.shares.tobytes()).hexdigest()


def masked(images: Sequence[LabelledImage]) -> tuple[LabelledImage, ...]:
    """The images that have a mask.

    Raises:
        DatasetError: none has one.
    """
    found = tuple(image for image in images if image.mask is not None)
    if not found:
        raise DatasetError(
            f"none of the {len(images)} images has a lung mask; column 'mask' of the label file gives its file"
        )
    return found


def read_example(image: LabelledImage) -> tuple[NDArray[np.float32], Shares]:
    """Thumbnail and mask shares of one image, both ``[128, 128]`` float32.

    Raises:
        DatasetError: the image cannot be decoded, or its mask is missing, unreadable, coloured, empty or of another
            size.
    """
    try:
        radiograph = decode(image.path)
    except CxrEdgeError as error:
        raise DatasetError(f"{image.path} cannot be used for training: {error}") from error
    if image.mask is None:
        raise DatasetError(f"{image.path} has no lung mask; column 'mask' of the label file gives its file")
    mask = read_mask(image.mask)
    if mask.shape != radiograph.pixels.shape:
        raise DatasetError(
            f"mask {image.mask} has {mask.shape[0]}x{mask.shape[1]} pixels but its image has "
            f"{radiograph.height}x{radiograph.width}; draw the mask on the image as it is stored"
        )
    if not mask.any():
        raise DatasetError(
            f"mask {image.mask} is empty; leave the cell of column 'mask' empty for an image without one"
        )
    return thumbnail(radiograph), lung_shares(mask)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """A mask file as ``[H, W]``: true where it is brighter than mid grey.

    Raises:
        DatasetError: missing, not an image, damaged, or not grey.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode not in GREY_WHITE:
                raise DatasetError(f"mask {path} has Pillow mode {picture.mode}; save it as a 1-bit or grey picture")
            white = GREY_WHITE[picture.mode]
            return np.asarray(picture) > white / 2
    except FileNotFoundError as error:
        raise DatasetError(f"mask {path} does not exist; correct column 'mask' of the label file") from error
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DatasetError(f"mask {path} cannot be read as a picture: {error}") from error


def lung_shares(mask: NDArray[np.bool_]) -> Shares:
    """How much of each of 128 x 128 cells a mask ``[H, W]`` covers, 0 to 1, by exact area resampling."""
    rows, columns = (area_weights(side, GRID) for side in mask.shape)
    shares: Shares = (rows @ mask.astype(np.float64) @ columns.T / mask.size).astype(np.float32)
    return shares
