"""How much of what speaks for a decision lies on the lungs, where the signs of lung disease are.

A model that decides by the border, by a marker or by the diaphragm may be right on the images it was tested with and
wrong on the next hospital's; the paper that this library follows saw regions outside the lungs influence its results.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError
from cxr_edge.heatmap import Heatmap
from cxr_edge.regions.cells import GRID

__all__ = ["lung_shares", "share_on_lungs"]


def share_on_lungs(heatmap: Heatmap, lungs: NDArray[np.bool_]) -> float | None:
    """Share of the evidence for the decision that lies on the lungs, 0 to 1; None where there is no such evidence.

    Each cell of the class-activation map speaks for the decision by as much as it lies on the decision's side of the
    threshold: what the heatmap draws warm of an image called abnormal, cool of one called normal. That counts as on
    the lungs by the share of the cell that they cover. A cell sees beyond its own borders, so this is where
    the network *places* its evidence; which pixels it needs is told by occluding them.

    Args:
        heatmap: of a decision; neutral at its threshold.
        lungs: ``[128, 128]`` over the whole frame, as `cxr_edge.lungs.Lungs.mask`.

    Raises:
        UsageError: a mask of another shape.
    """
    beyond = heatmap.cam.astype(np.float64) - heatmap.neutral
    speaking = np.maximum(beyond if beyond.mean() >= 0 else -beyond, 0.0)
    total = float(speaking.sum())
    if total == 0.0:
        return None
    # Rounding may carry a sum of products an ulp beyond the sum of its factors.
    return min(float((speaking * lung_shares(heatmap, lungs)).sum()) / total, 1.0)


def lung_shares(heatmap: Heatmap, lungs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of the area of each cell of the class-activation map that the lungs cover, ``[h, w]``, 0 to 1.

    Its mean is what `share_on_lungs` would be of evidence spread evenly: the figure to compare with.

    Args:
        heatmap: gives the map's size, its box and the frame.
        lungs: ``[128, 128]`` over the whole frame.

    Raises:
        UsageError: a mask of another shape.
    """
    if lungs.shape != (GRID, GRID):
        raise UsageError(f"a lung mask is [{GRID}, {GRID}] over the whole frame, not {list(lungs.shape)}")
    (height, width), box, frame = heatmap.cam.shape, heatmap.box, heatmap.radiograph
    rows = _overlaps(height, box.top, box.height, frame.height)
    columns = _overlaps(width, box.left, box.width, frame.width)
    covered = rows @ lungs @ columns.T
    # Integers up to here, so that a cell without lung has exactly 0 and one of nothing but lung exactly 1.
    shares: NDArray[np.float64] = covered / (GRID * box.height * GRID * box.width)
    return shares


def _overlaps(cells: int, start: int, length: int, side: int) -> NDArray[np.float64]:
    """Length along one axis that each cell of the map shares with each of the grid, ``[cells, GRID]``, whole numbers.

    In units of a pixel's ``1 / (cells * GRID)`` every border is an integer, so that no overlap is rounded.

    Args:
        cells: of the map.
        start: first pixel of its box.
        length: pixels of its box.
        side: pixels of the frame.
    """
    own = GRID * (cells * start + np.arange(cells + 1) * length)
    grid = np.arange(GRID + 1) * (cells * side)
    shared = np.minimum(own[1:, None], grid[1:]) - np.maximum(own[:-1, None], grid[:-1])
    overlaps: NDArray[np.float64] = np.maximum(shared, 0).astype(np.float64)
    return overlaps
