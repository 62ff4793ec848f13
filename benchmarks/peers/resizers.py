"""From a stored uint16 frame to the normalised float32 224 x 224 picture, by the resizers that people use.

Each is timed on the least that does the job: resize, then normalise the small picture.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.torchxrayvision_style import MAX_VALUE, SIZE
from cxr_edge.bench.cell import CellRequest
from cxr_edge.bench.workload import Workload, timed

__all__ = [
    "frame_of",
    "normalised",
    "opencv_area",
    "pillow_box",
    "pillow_reduce",
    "plain_copy",
    "scikit_image",
    "torch_antialias",
]

WHOLE_FACTOR = 2
"""Pillow's `reduce` takes whole factors; box resampling goes on from at least this many times the output's size."""

Image = NDArray[np.float32]


def frame_of(request: CellRequest) -> NDArray[np.uint16]:
    """The raw frame of the request's sample, ``[H, W]``."""
    pixels: NDArray[np.uint16] = np.load(str(request.sample), allow_pickle=False)
    return pixels


def normalised(small: NDArray[Any]) -> Image:
    """A resized frame in stored units, mapped to [-1, 1]."""
    return np.asarray(small.astype(np.float32) * np.float32(2.0 / MAX_VALUE) - np.float32(1.0))


def plain_copy(request: CellRequest) -> Workload:
    """The frame copied into memory that is there: what reading it once cannot be faster than on one thread."""
    frame = frame_of(request)
    target = np.empty_like(frame)
    return Workload(timed(lambda: np.copyto(target, frame)))


def opencv_area(request: CellRequest) -> Workload:
    """``cv2.resize`` with INTER_AREA."""
    import cv2

    cv2.setNumThreads(request.cell.threads)
    return _resizer(request, lambda frame: cv2.resize(frame, SIZE, interpolation=cv2.INTER_AREA))


def torch_antialias(request: CellRequest) -> Workload:
    """``torch.nn.functional.interpolate``, bilinear with antialias, on float32: it takes no 16-bit integers."""
    import torch

    torch.set_num_threads(request.cell.threads)

    def resize(frame: NDArray[np.uint16]) -> NDArray[Any]:
        picture = torch.from_numpy(frame.astype(np.float32))[None, None]
        small = torch.nn.functional.interpolate(picture, SIZE, mode="bilinear", antialias=True)
        resized: NDArray[Any] = small[0, 0].numpy()
        return resized

    return _resizer(request, resize)


def pillow_box(request: CellRequest) -> Workload:
    """Pillow's box filter on float32, its only mode that resamples more than 8 bits."""
    from PIL import Image as Pillow

    def resize(frame: NDArray[np.uint16]) -> NDArray[Any]:
        return np.asarray(Pillow.fromarray(frame.astype(np.float32)).resize(SIZE, Pillow.Resampling.BOX))

    return _resizer(request, resize)


def pillow_reduce(request: CellRequest) -> Workload:
    """Pillow's whole-factor reduction first, then its box filter."""
    from PIL import Image as Pillow

    def resize(frame: NDArray[np.uint16]) -> NDArray[Any]:
        factor = max(1, min(frame.shape) // (WHOLE_FACTOR * min(SIZE)))
        reduced = Pillow.fromarray(frame.astype(np.int32)).reduce(factor).convert("F")
        return np.asarray(reduced.resize(SIZE, Pillow.Resampling.BOX))

    return _resizer(request, resize)


def scikit_image(request: CellRequest) -> Workload:
    """``skimage.transform.resize`` with anti-aliasing, what torchxrayvision's transforms call."""
    transform: Any = import_module("skimage.transform")
    return _resizer(request, lambda frame: transform.resize(frame, SIZE, preserve_range=True, anti_aliasing=True))


def _resizer(request: CellRequest, resize: Callable[[NDArray[np.uint16]], NDArray[Any]]) -> Workload:
    frame = frame_of(request)
    return Workload(timed(lambda: normalised(resize(frame))))
