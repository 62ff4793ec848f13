"""Opacities inside the lungs: round nodules and patchy infiltrates, with the boxes that hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_edge.phantom.grid import Field, bump, ellipse, soft_step
from cxr_edge.records import Box

__all__ = ["Opacities", "draw_opacities"]

PATCHES = 14
"""Small patches that make up one infiltrate."""

MARGIN = 0.6
"""Half-size of an opacity's box as a share of its radius: the part that is clearly brighter."""


@dataclass(frozen=True, slots=True)
class Opacities:
    """Attenuation ``[h, w]`` of all opacities and the boxes of their cores, in points of the drawing plane."""

    attenuation: Field
    boxes: tuple[Box, ...]


def draw_opacities(centres: NDArray[np.bool_], rng: np.random.Generator) -> Opacities:
    """One to three opacities; none where no place is allowed.

    Args:
        centres: ``[h, w]``, true where the centre of an opacity may lie.
        rng: draws number, kind, place and size.
    """
    total = np.zeros(centres.shape, dtype=np.float32)
    places = np.flatnonzero(centres)
    boxes = []
    for _ in range(int(rng.integers(1, 4)) if places.size else 0):
        row, column = divmod(int(places[rng.integers(places.size)]), centres.shape[1])
        patchy = bool(rng.random() < 0.5)
        radius = float(rng.uniform(0.16, 0.26) if patchy else rng.uniform(0.06, 0.1))
        half = (radius * centres.shape[0] / 2, radius * centres.shape[1] / 2)
        shape = _blob(centres.shape, (row, column), half, patchy, rng)
        total = np.maximum(total, shape * rng.uniform(0.26, 0.36))
        boxes.append(_core((row, column), half, centres.shape))
    return Opacities(total, tuple(boxes))


def _blob(
    shape: tuple[int, ...], centre: tuple[int, int], half: tuple[float, float], patchy: bool, rng: np.random.Generator
) -> Field:
    """One opacity, 0 to 1: a round nodule with a soft rim, or an infiltrate of many patches that fades outwards."""
    row = ((np.arange(shape[0], dtype=np.float32) - centre[0]) / max(half[0], 0.5))[:, None]
    column = ((np.arange(shape[1], dtype=np.float32) - centre[1]) / max(half[1], 0.5))[None, :]
    if not patchy:
        return soft_step(1 - ellipse(row, column, 1, 1), 0.35)
    total: Field = np.zeros((shape[0], shape[1]), dtype=np.float32)
    for _ in range(PATCHES):
        angle, distance, size = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.75), rng.uniform(0.1, 0.3)
        total += bump(row - distance * math.sin(angle), size) * bump(column - distance * math.cos(angle), size)
    result: Field = 1 - np.exp(total * -0.6)
    return result


def _core(centre: tuple[int, int], half: tuple[float, float], shape: tuple[int, ...]) -> Box:
    """The middle of an opacity, at least one point, clipped to the plane."""
    down, across = max(half[0] * MARGIN, 0.5), max(half[1] * MARGIN, 0.5)
    top, left = round(centre[0] - down), round(centre[1] - across)
    return Box(top, left, max(1, round(2 * down)), max(1, round(2 * across))).clipped(shape[0], shape[1])
