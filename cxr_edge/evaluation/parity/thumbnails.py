"""Small pictures of the images that moved most: the X-ray, the reference's heatmap, the candidate's."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_edge.colour_scale import ColourScale
from cxr_edge.decode import decode
from cxr_edge.evaluation.parity.report import Comparison, ParityReport
from cxr_edge.heatmap import Heatmap, displayed_grey
from cxr_edge.records import Box, Radiograph, Window

__all__ = ["Triptych", "triptychs"]

MAX_SIDE = 240
"""Longest side of a picture, pixels: ten images of five candidates stay below two megabytes."""

JPEG_QUALITY = 82

DISPLAYED = Window(0, 255)
"""Of a picture that is drawn already: each grey value displays as itself."""

Triptych = tuple[str, str, str]
"""X-ray, reference's heatmap and candidate's heatmap as ``data:`` addresses."""


def triptychs(report: ParityReport, worst: Sequence[tuple[int, ...]]) -> Iterator[dict[int, Triptych]]:
    """For each comparison the pictures of its worst images, by position; each image is decoded once.

    Args:
        report: gives images, maps and the threshold at which colours are neutral.
        worst: positions for each comparison.

    Raises:
        CorruptInputError, UnsupportedInputError, ResourceLimitError: an image cannot be read any more.
    """
    positions = sorted({position for chosen in worst for position in chosen})
    frames = {position: _shrunk(decode(report.images[position].path)) for position in positions}
    for comparison, chosen in zip(report.comparisons, worst, strict=True):
        yield {position: _triptych(report, comparison, position, frames[position]) for position in chosen}


def _shrunk(radiograph: Radiograph) -> Radiograph:
    """The frame as it displays at the size of the picture: the full one need not stay in memory."""
    return Radiograph(displayed_grey(radiograph, MAX_SIDE), DISPLAYED)


def _triptych(report: ParityReport, comparison: Comparison, position: int, frame: Radiograph) -> Triptych:
    maps = report.reference_outputs.cams[position], comparison.outputs.cams[position]
    before, after = (_overlay(frame, cam, report.operating_point.logit_threshold) for cam in maps)
    grey = np.repeat(frame.pixels[..., None], 3, axis=2)
    return _address(grey), _address(before), _address(after)


def _overlay(frame: Radiograph, cam: NDArray[np.float32], neutral: float) -> NDArray[np.uint8]:
    heatmap = Heatmap(frame, cam, Box(0, 0, frame.height, frame.width), neutral=neutral)
    return heatmap.overlay(ColourScale(neutral=neutral, show_normal=True), max_side=MAX_SIDE, legend=False)


def _address(picture: NDArray[np.uint8]) -> str:
    """A picture as the text that stands in an ``<img src>``."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
