"""Bones: spine, ribs, clavicles, shoulder blades and upper arms, in the additive unit of attenuation of soft_tissue."""

from __future__ import annotations

import numpy as np

from cxr_edge.phantom.anatomy import Anatomy
from cxr_edge.phantom.grid import Field, Plane, bump, ellipse, soft_step
from cxr_edge.phantom.soft_tissue import Chest

__all__ = ["skeleton"]

RIBS = 10


def skeleton(plane: Plane, chest: Chest, anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """Attenuation of all bones, ``[h, w]``.

    Args:
        plane: where to draw.
        chest: the cavity that the ribs follow.
        anatomy: whose bones.
        rng: draws how strongly each rib shows.
    """
    ribs = _posterior_ribs(plane, chest, anatomy, rng) + _anterior_ribs(plane, chest, anatomy, rng)
    # A chest exposure hardly penetrates the abdomen, so ribs below the diaphragm lose contrast.
    contrast = 0.5 + 0.5 * soft_step(chest.above_dome, 0.1)
    result: Field = _spine(plane, anatomy) + ribs * contrast + _cage_wall(chest)
    result += _clavicles(plane, anatomy) + _shoulders(plane, anatomy)
    return result


def _spine(plane: Plane, anatomy: Anatomy) -> Field:
    """Vertebral bodies with darker discs between them, and the two bright pedicles of each."""
    pitch = anatomy.rib_pitch * 0.98
    turn = plane.y / pitch + anatomy.rib_phase
    within = turn - np.floor(turn) - 0.5
    column = soft_step(0.088 - plane.side, 0.022)
    disc = bump(np.abs(within) - 0.5, 0.09)
    pedicle = bump(ellipse(plane.side - 0.058, within * pitch, 0.014, 0.02), 0.8)
    result: Field = column * (0.2 - 0.07 * disc) + 0.05 * pedicle
    return result


def _posterior_ribs(plane: Plane, chest: Chest, anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """Ribs from the spine: they rise a little, then fall ever more steeply towards the side."""
    reach = np.clip(chest.reach, 0, 1.05)
    fall = anatomy.rib_drop * (reach * reach - 0.42 * reach) + 0.1 * reach**8
    shown = soft_step(1.02 - chest.reach, 0.02) * soft_step(plane.side - 0.07, 0.03)
    result: Field = 0.15 * shown * _rib_bands(plane.y - fall, anatomy, 0.0, 0.3, rng)
    return result


def _anterior_ribs(plane: Plane, chest: Chest, anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """The fainter front ends: from the side down towards the sternum, fading where cartilage begins."""
    reach = np.clip(chest.reach, 0, 1.05)
    fall = anatomy.rib_drop * (1.15 - 0.95 * reach * reach)
    shown = soft_step(1.02 - chest.reach, 0.02) * soft_step(chest.reach - 0.5, 0.1)
    result: Field = 0.085 * shown * _rib_bands(plane.y - fall, anatomy, 0.45, 0.36, rng)
    return result


def _rib_bands(height: Field, anatomy: Anatomy, shift: float, share: float, rng: np.random.Generator) -> Field:
    """All ribs of one set at once: bands that repeat every rib pitch, brighter along their cortical edges.

    Args:
        height: y after straightening the ribs' curve.
        anatomy: gives pitch and the first rib's place.
        shift: offset of this set in pitches.
        share: rib breadth as a share of the pitch.
        rng: draws how strongly each rib shows.
    """
    first = anatomy.apex + 0.02 + anatomy.rib_pitch * shift
    turn = (height - first) / anatomy.rib_pitch
    cell = np.floor(turn)
    offset = np.abs(turn - cell - 0.5)
    band = soft_step(share / 2 - offset, 0.05)
    cortex = bump(offset - (share / 2 - 0.03), 0.035)
    strength = np.zeros(RIBS + 2, dtype=np.float32)  # nothing above the first rib, nothing below the last
    strength[1:-1] = rng.uniform(0.75, 1.1, size=RIBS)
    result: Field = (0.75 * band + 0.45 * cortex) * strength[np.clip(cell + 1, 0, RIBS + 1).astype(np.intp)]
    return result


def _cage_wall(chest: Chest) -> Field:
    """The bright line where the beam runs along the ribs' inner surface."""
    result: Field = 0.13 * bump(chest.wall + 0.012, 0.016) * soft_step(chest.reach - 0.4, 0.3)
    return result


def _clavicles(plane: Plane, anatomy: Anatomy) -> Field:
    """Two S-shaped bars over the lung apices."""
    along = np.clip((plane.side - 0.09) / 0.62, 0, 1)
    curve = anatomy.clavicle_y - anatomy.clavicle_rise * along - 0.03 * np.sin(along * (2 * np.pi))
    offset = np.abs(plane.y - curve)
    half = 0.03 - 0.008 * np.sin(along * np.pi)
    ends = soft_step(plane.side - 0.09, 0.012) * soft_step(0.74 - plane.side, 0.04)
    bar = soft_step(half - offset, 0.007)
    cortex = bump(offset - half + 0.008, 0.006)
    result: Field = ends * (0.11 * bar + 0.06 * cortex)
    return result


def _shoulders(plane: Plane, anatomy: Anatomy) -> Field:
    """Shoulder blade, its border, the humeral head and shaft."""
    x, y = plane.side, plane.y - anatomy.clavicle_y
    border_x = anatomy.cage - 0.06 + 0.12 * y
    span = soft_step(y + 0.02, 0.05) * soft_step(0.5 - y, 0.1)
    blade = soft_step(x - border_x, 0.02) * soft_step(border_x + 0.2 - 0.3 * y - x, 0.04)
    edge = bump(x - border_x - 0.01, 0.012)
    result: Field = span * (0.06 * blade + 0.05 * edge) + 0.1 * _upper_arm(x - 0.96, y + 0.04)
    return result


def _upper_arm(x: Field, y: Field) -> Field:
    """Head and shaft of the humerus, 0 to 1, around the centre of its head."""
    head = soft_step(1 - ellipse(x, y, 0.1, 0.11), 0.12)
    axis = 0.02 + 0.06 * y
    shaft = soft_step(0.055 - np.abs(x - axis), 0.02) * soft_step(y, 0.02)
    result: Field = np.maximum(head, shaft)
    return result
