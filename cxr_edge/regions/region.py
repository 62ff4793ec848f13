"""Which part of a frame the network is shown: the whole frame, the body, or the lungs, as the bundle's spec says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import RefusedInputError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec, Variant
from cxr_edge.records import Box, Radiograph
from cxr_edge.regions.body import find_body
from cxr_edge.regions.cells import CellBox, box_of_cells, whole_grid
from cxr_edge.regions.thumbnail import thumbnail

__all__ = ["Localiser", "LocatedLungs", "Region", "locate", "whole_frame"]

NO_LUNGS = "no lungs found"
"""Why an image is refused whose network would have to see the lungs."""


class LocatedLungs(Protocol):
    """What a lung localiser found on the thumbnail."""

    @property
    def found(self) -> bool:
        """Whether there are lungs; without them `box` says nothing."""

    @property
    def box(self) -> CellBox | None:
        """The box around the lungs."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The lungs, ``[GRID, GRID]``."""


class Localiser(Protocol):
    """Finds the lungs; `cxr_edge.lungs.LungLocaliser` is the real one."""

    def locate(self, thumbnail: NDArray[np.float32], /) -> LocatedLungs:
        """Where the lungs are on a thumbnail ``[GRID, GRID]`` in [-1, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """What the network is shown of one frame.

    Attributes:
        box: in pixels of the stored frame.
        variant: what it really is; ``"body"`` too where no lungs were found and the spec falls back.
        lungs_found: None where nobody looked for lungs.
        lungs: their mask on the grid of the whole frame, ``[GRID, GRID]``; None where none were looked for or found.
        warnings: what a reader of the result should know, one sentence each.
    """

    box: Box
    variant: Variant
    lungs_found: bool | None = None
    lungs: NDArray[np.bool_] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """The cells that the network is shown, the others being hidden; None where nothing in the box is."""
        return self.lungs if self.variant == "lungs-masked" else None


def whole_frame(radiograph: Radiograph) -> Region:
    """The region of the variant ``"full"``."""
    return Region(Box(0, 0, radiograph.height, radiograph.width), "full")


def locate(
    radiograph: Radiograph, spec: PreprocessSpec, localiser: Localiser | None = None, *, threads: int = 1
) -> Region:
    """The region that a spec asks for, the same on every machine.

    Args:
        radiograph: the decoded frame.
        spec: says which variant, with which margin, and what becomes of images without lungs.
        localiser: of the bundle; only the variants that need it use it.
        threads: of shrinking the frame; the result doesn't depend on it.

    Raises:
        RefusedInputError: no lungs were found, and the spec wants such images refused.
        UsageError: the variant needs a localiser, and there is none.
    """
    if spec.variant == "full":
        return whole_frame(radiograph)
    small = thumbnail(radiograph, threads=threads)
    if spec.variant == "body":
        return _body(radiograph, small)
    if localiser is None:
        raise UsageError(f"variant {spec.variant!r} needs a lung localiser: open the bundle's, or give --lungs")
    lungs = localiser.locate(small)
    if lungs.found and lungs.box is not None:
        box = box_of_cells(lungs.box.widened(spec.margin), radiograph.height, radiograph.width)
        return Region(box, spec.variant, True, lungs.mask)
    if spec.not_found == "refuse":
        raise RefusedInputError(f"{NO_LUNGS} in the image, and the network must see them", (NO_LUNGS,))
    return _body(radiograph, small, lungs_found=False)


def _body(radiograph: Radiograph, small: NDArray[np.float32], lungs_found: bool | None = None) -> Region:
    cells = find_body(small)
    warnings = []
    if lungs_found is False:
        warnings.append("no lungs were found, so the network saw the whole body")
    if cells is None:
        warnings.append("no body was found, so the network saw the whole frame")
    box = box_of_cells(cells or whole_grid(), radiograph.height, radiograph.width)
    return Region(box, "body", lungs_found, None, tuple(warnings))
