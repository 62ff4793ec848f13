"""The drawing plane: coordinates in frame units, and the few soft shapes that anatomy is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.phantom.anatomy import Anatomy

__all__ = ["Field", "Plane", "bump", "ellipse", "plane", "round_minimum", "soft_step"]

Field = NDArray[np.floating[Any]]
"""A quantity over the drawing plane, ``[h, w]`` float32."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Coordinates of every point of the drawing plane in the person's own frame: spine at x = 0, upright.

    Attributes:
        x: ``[h, w]``, grows towards the patient's left, which is the image's right.
        y: ``[h, w]``, grows downwards.
        side: ``[h, w]``, ``abs(x)``: most of a chest is mirrored about its spine.
        left: ``[h, w]`` bool, the patient's left half.
    """

    x: Field
    y: Field
    side: Field
    left: NDArray[np.bool_]

    def by_side(self, *, left: float, right: float) -> Field:
        """One value over the patient's left half, another over the right one, ``[h, w]``."""
        result: Field = np.where(self.left, np.float32(left), np.float32(right))
        return result


def plane(height: int, width: int, anatomy: Anatomy) -> Plane:
    """Coordinates of the centres of ``height`` x ``width`` points, leaned and shifted as the person stands."""
    across, down = _centres(width)[None, :], _centres(height)[:, None]
    x = across - anatomy.midline - anatomy.tilt * down
    y = down + anatomy.tilt * across
    return Plane(x, y, np.abs(x), x > 0)


def soft_step(distance: Field, softness: float) -> Field:
    """0 where ``distance`` is well below zero, 1 well above, 0.5 at zero; ``softness`` is the width of the edge."""
    t = np.clip(distance / (2 * softness) + 0.5, 0, 1)
    result: Field = t * t * (3 - 2 * t)
    return result


def bump(distance: Field, width: float) -> Field:
    """A bell of height 1 at ``distance`` 0 and standard deviation ``width``."""
    result: Field = np.exp(np.square(distance / width) * -0.5)
    return result


def ellipse(x: Field, y: Field, half_x: float, half_y: float) -> Field:
    """Normalised radius: 0 at the origin, 1 on the ellipse with the given half-axes."""
    result: Field = np.sqrt(np.square(x / half_x) + np.square(y / half_y))
    return result


def round_minimum(one: Field, other: Field, radius: float) -> Field:
    """The smaller of two distances, rounded off where they are within ``radius`` of each other; never above either."""
    overlap = np.clip(1 - np.abs(one - other) / radius, 0, None)
    result: Field = np.minimum(one, other) - np.square(overlap) * (radius / 4)
    return result


def _centres(count: int) -> Field:
    """Centres of ``count`` equal cells that tile [-1, 1]."""
    result: Field = (np.arange(count, dtype=np.float32) * 2 + 1) / count - 1
    return result
