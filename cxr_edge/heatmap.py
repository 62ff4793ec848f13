"""The class-activation map as a picture: where the evidence for the decision lies.

The network's logit is the mean of its class-activation map, so the map is no approximation: a cell's value is the
logit that the whole image would have if it looked like that cell everywhere (Zhou et al., CVPR 2016).
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_edge.atomic import write_atomically
from cxr_edge.colour_scale import ColourScale, with_legend
from cxr_edge.errors import UsageError
from cxr_edge.preprocess.reference import clamped
from cxr_edge.records import Box, Radiograph

__all__ = ["Heatmap", "displayed_grey", "evidence_over"]

MAX_SIDE = 1024
"""Longest side of a picture, pixels: the map itself has 7 x 7 cells."""

OUTLINE = (255, 214, 64)
"""RGB of the line around what the network saw: a yellow that neither the grey frame nor the scale of evidence has."""


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """A class-activation map over the part of a radiograph that the network saw.

    Attributes:
        radiograph: the decoded frame.
        cam: ``[h, w]`` in logits; its mean is the logit.
        box: the part of the frame that the map covers, in stored pixels, inside the frame.
        neutral: evidence in logits that is drawn without colour unless a scale says otherwise. At the threshold of
            an operating point, averaged over the map, warm outweighs cool exactly when the decision is "abnormal".

    Raises:
        UsageError: a map that is not two-dimensional or not finite, or a box that reaches beyond the frame.
    """

    radiograph: Radiograph
    cam: NDArray[np.float32]
    box: Box
    neutral: float = 0.0

    def __post_init__(self) -> None:
        if self.cam.ndim != 2 or self.cam.size == 0 or not np.isfinite(self.cam).all():
            raise UsageError(f"a class-activation map is [h, w], all finite; got shape {self.cam.shape}")
        if self.box.clipped(self.radiograph.height, self.radiograph.width) != self.box:
            raise UsageError(f"{self.box} reaches beyond the frame")

    def overlay(
        self, scale: ColourScale | None = None, *, max_side: int = MAX_SIDE, legend: bool = True
    ) -> NDArray[np.uint8]:
        """The radiograph as it displays, with the evidence over it: ``[H, W, 3]`` uint8 RGB.

        Frames larger than ``max_side`` are drawn smaller, smaller ones at their own size. Outside the box, which the
        network did not see, there is no colour, and a line around it tells where that begins.

        Args:
            scale: which evidence has which colour; None means warm above ``neutral`` and cool below, full at 6 logits.
                It is fixed, not fitted to this image, so pictures of one operating point can be compared.
            max_side: longest side of the frame in the picture, pixels.
            legend: add the colour bar on the right; the picture is then wider than the frame. Pictures too low for
                its numbers stay without.

        Raises:
            UsageError: ``max_side`` below 1.
        """
        scale = scale or ColourScale(neutral=self.neutral, show_normal=True)
        grey = displayed_grey(self.radiograph, max_side)
        evidence = evidence_over(self, grey.shape[0], grey.shape[1], fill=scale.neutral)
        picture = outlined(scale.blend(grey, evidence), self)
        return with_legend(picture, scale) if legend else picture

    def save_png(
        self, path: str | os.PathLike[str], scale: ColourScale | None = None, *, max_side: int = MAX_SIDE
    ) -> None:
        """Write the overlay with its legend as a PNG file, atomically and without any metadata.

        Raises:
            OutputError: the file cannot be written; what stood there is unchanged.
            UsageError: ``max_side`` below 1.
        """
        buffer = io.BytesIO()
        Image.fromarray(self.overlay(scale, max_side=max_side)).save(buffer, format="PNG")
        write_atomically(path, buffer.getvalue())


def displayed_grey(radiograph: Radiograph, max_side: int = MAX_SIDE) -> NDArray[np.uint8]:
    """The frame as a screen shows it, ``[H, W]`` uint8, 0 black: window, polarity and padding applied.

    Args:
        radiograph: the decoded frame.
        max_side: longest side of what is returned, pixels; larger frames are averaged down.

    Raises:
        UsageError: ``max_side`` below 1.
    """
    if max_side < 1:
        raise UsageError(f"max_side must be at least 1 pixel; got {max_side}")
    span = radiograph.window.hi - radiograph.window.lo
    values = clamped(radiograph, Box(0, 0, radiograph.height, radiograph.width))
    ramp = np.arange(span + 1, dtype=np.int64)
    if radiograph.inverted:
        ramp = ramp[::-1]
    table = ((510 * ramp + span) // (2 * span)).astype(np.uint8)  # 255 * v / span, rounded half up
    grey: NDArray[np.uint8] = table[values]
    shrink = min(1.0, max_side / max(grey.shape))
    if shrink == 1.0:
        return grey
    size = (max(1, round(radiograph.width * shrink)), max(1, round(radiograph.height * shrink)))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


def evidence_over(heatmap: Heatmap, height: int, width: int, fill: float = 0.0) -> NDArray[Any]:
    """The map resampled over a picture of the whole frame, ``[height, width]`` float32 in logits.

    Bicubic interpolation between the centres of the cells, each cell covering its equal share of the box.

    Args:
        heatmap: map and box.
        height: rows of the picture, pixels.
        width: columns of the picture, pixels.
        fill: value outside the box.
    """
    top, bottom, left, right = box_in_picture(heatmap, height, width)
    picture = np.full((height, width), fill, dtype=np.float32)
    if bottom > top and right > left:
        cam = Image.fromarray(np.ascontiguousarray(heatmap.cam, dtype=np.float32))
        picture[top:bottom, left:right] = np.asarray(cam.resize((right - left, bottom - top), Image.Resampling.BICUBIC))
    return picture


def box_in_picture(heatmap: Heatmap, height: int, width: int) -> tuple[int, int, int, int]:
    """First and end row, first and end column of the heatmap's box in a picture of the whole frame."""
    box, frame = heatmap.box, heatmap.radiograph
    top, bottom = (round(row * height / frame.height) for row in (box.top, box.top + box.height))
    left, right = (round(column * width / frame.width) for column in (box.left, box.left + box.width))
    return top, bottom, left, right


def outlined(picture: NDArray[np.uint8], heatmap: Heatmap) -> NDArray[np.uint8]:
    """The picture with a one-pixel line around what the network saw; as it is where that is the whole frame."""
    frame = heatmap.radiograph
    if heatmap.box == Box(0, 0, frame.height, frame.width):
        return picture
    top, bottom, left, right = box_in_picture(heatmap, *picture.shape[:2])
    if bottom > top and right > left:
        picture = picture.copy()
        picture[[top, bottom - 1], left:right] = OUTLINE
        picture[top:bottom, [left, right - 1]] = OUTLINE
    return picture
