"""The one way from a radiograph to what the network sees: region, preprocessing, grey scale, mask.

Whoever shows a network an image goes through here, on the device, in training and in export alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxr_edge.preprocess import PreprocessSpec, preprocess
from cxr_edge.records import Box, Radiograph
from cxr_edge.regions.cells import GRID
from cxr_edge.regions.contrast import with_contrast
from cxr_edge.regions.region import Localiser, Region, locate

__all__ = ["network_input", "region_input"]


def network_input(
    radiograph: Radiograph,
    spec: PreprocessSpec,
    localiser: Localiser | None = None,
    *,
    threads: int = 1,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """What the network sees of a radiograph, ``[spec.height, spec.width]`` float32; the same bits everywhere.

    Args:
        radiograph: the decoded frame.
        spec: of the bundle or run.
        localiser: of the bundle or run; None where the variant needs none.
        threads: of preprocessing; the result doesn't depend on it.
        out: array to write into and return instead of a new one.

    Raises:
        RefusedInputError: no lungs were found, and the spec wants such images refused.
        UsageError, ResourceLimitError: as `cxr_edge.preprocess.preprocess`; or the variant needs a localiser.
    """
    region = locate(radiograph, spec, localiser, threads=threads)
    return region_input(radiograph, spec, region, threads=threads, out=out)


def region_input(
    radiograph: Radiograph,
    spec: PreprocessSpec,
    region: Region,
    *,
    threads: int = 1,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Like `network_input` for a region that is known already."""
    image = preprocess(radiograph, spec, region.box, threads=threads, out=out)
    if spec.contrast != "none":
        image[...] = with_contrast(image, spec)
    if region.mask is not None:
        outside = np.float32((spec.outside - spec.mean) / spec.std)
        image[~mask_of_input(region.mask, region.box, radiograph, spec)] = outside
    return image


def mask_of_input(mask: NDArray[np.bool_], box: Box, radiograph: Radiograph, spec: PreprocessSpec) -> NDArray[np.bool_]:
    """The cell that the centre of each pixel of the network's input lies in, ``[spec.height, spec.width]``.

    Args:
        mask: on the grid of the whole frame, ``[GRID, GRID]``.
        box: what the input shows, in pixels of the frame.
        radiograph: gives the frame's size.
        spec: gives the input's.
    """
    rows = _cells_of(spec.height, box.top, box.height, radiograph.height)
    columns = _cells_of(spec.width, box.left, box.width, radiograph.width)
    return mask[np.ix_(rows, columns)]


def _cells_of(size: int, start: int, length: int, side: int) -> NDArray[np.int64]:
    """Cell along one axis under the centre ``start + (2 i + 1) length / (2 size)`` of each of `size` pixels."""
    doubled = 2 * size * start + (2 * np.arange(size, dtype=np.int64) + 1) * length
    return doubled * GRID // (2 * size * side)
