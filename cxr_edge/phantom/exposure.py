"""From attenuation to stored pixels: display curve, enlargement, quantum noise, collimator, marker, quantisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.phantom.grid import Field
from cxr_edge.phantom.spec import PhantomSpec

__all__ = ["add_noise", "border_pixels", "collimate", "display", "enlarged", "mark_side", "stored"]

LETTERS = {
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
}
"""Lead markers, 7 rows of 5 points."""

MARKER_LEVEL = 0.97


def display(attenuation: Field, exposure: float) -> Field:
    """Display value, 0 (black, unattenuated beam) to 1 (white), by an S-shaped film curve.

    Args:
        attenuation: sum over all tissues, ``[h, w]``.
        exposure: brightness relative to the average picture.
    """
    centred = (attenuation * exposure - 0.62) * 2.1
    result: Field = np.clip((np.tanh(centred) + 0.93) * 0.5, 0, 1)
    return result


def enlarged(field: Field, height: int, width: int) -> Field:
    """The field on ``height`` x ``width`` points by linear interpolation between centres; itself where sizes agree."""
    wide = np.ascontiguousarray(_stretched(field.T, width).T)
    return _stretched(wide, height)


def _stretched(field: Field, count: int) -> Field:
    """Rows interpolated to ``count``."""
    size = field.shape[0]
    if size == count:
        return field
    position = np.clip((np.arange(count, dtype=np.float64) + 0.5) * size / count - 0.5, 0, size - 1)
    lower = np.minimum(position.astype(np.int64), max(size - 2, 0))
    share = (position - lower).astype(np.float32)[:, None]
    upper = np.minimum(lower + 1, size - 1)
    result: Field = field[lower] * (1 - share) + field[upper] * share
    return result


def add_noise(picture: Field, noise: float, rng: np.random.Generator) -> None:
    """Add quantum noise in place: fewer quanta reach the detector behind dense tissue, so bright parts are noisier.

    Args:
        picture: display values ``[H, W]``.
        noise: standard deviation in mid grey, as a share of the grey scale.
        rng: seeded generator.
    """
    if noise == 0:
        return
    grain = rng.standard_normal(picture.shape, dtype=np.float32)
    grain *= picture + 0.5
    grain *= noise
    picture += grain


def mark_side(picture: Field, spec: PhantomSpec, rng: np.random.Generator) -> None:
    """Draw a lead marker in place: L or R in the upper corner of that side, inside the collimated field."""
    patients_left = bool(rng.random() < 0.6)
    rows, columns = spec.height, spec.width
    scale = min(rows, columns) // 150
    if scale == 0:
        return
    letter = np.array([[int(point) for point in row] for row in LETTERS["L" if patients_left else "R"]], dtype=bool)
    glyph = np.kron(letter, np.ones((scale, scale), dtype=bool))
    edge = border_pixels(spec) + round(0.03 * min(rows, columns))
    left = columns - edge - glyph.shape[1] if patients_left else edge
    window = picture[edge : edge + glyph.shape[0], left : left + glyph.shape[1]]
    window[glyph] = MARKER_LEVEL


def border_pixels(spec: PhantomSpec) -> int:
    """Rows and columns that the collimator blackens along each edge."""
    return round(spec.border * min(spec.height, spec.width))


def collimate(field: NDArray[Any], spec: PhantomSpec) -> None:
    """Set everything outside the collimated field to zero, in place."""
    edge = border_pixels(spec)
    if edge:
        field[:edge] = field[-edge:] = 0
        field[:, :edge] = field[:, -edge:] = 0


def stored(picture: Field, spec: PhantomSpec) -> NDArray[Any]:
    """Stored values of display values: rounded to ``spec.bits_stored`` bits, complemented where inverted."""
    scaled = picture * spec.max_value
    np.rint(scaled, out=scaled)
    values = np.clip(scaled, 0, spec.max_value, out=scaled).astype(spec.dtype)
    return np.asarray(spec.max_value - values, dtype=spec.dtype) if spec.inverted else values
