"""Everything in the beam that is not bone: body wall, heart, mediastinum, abdomen, and the air of the lungs.

The unit of attenuation is the display scale: what the detector reads behind a tissue is the exponential of minus its
line integral, radiographs display the logarithm of that, so tissues simply add.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cxr_edge.phantom.anatomy import Anatomy
from cxr_edge.phantom.grid import Field, Plane, bump, ellipse, round_minimum, soft_step

__all__ = ["Chest", "body", "chest", "organs", "vessels"]


@dataclass(frozen=True, slots=True)
class Chest:
    """The cavity of the thorax, each ``[h, w]``.

    Attributes:
        reach: position between spine (0) and the inner rib-cage wall (1); above 1 outside the cage.
        wall: distance to the rib-cage wall in frame units, positive inside.
        above_dome: height above the diaphragm in frame units, negative in the abdomen.
        heart: distance to the heart's border in frame units, positive inside.
        depth: distance to the nearest border of the visible lung, positive inside it.
    """

    reach: Field
    wall: Field
    above_dome: Field
    heart: Field
    depth: Field


def chest(plane: Plane, anatomy: Anatomy) -> Chest:
    """Where the thoracic cavity, the heart and the visible lungs are."""
    cage = _cage(plane, anatomy)
    wall = cage - plane.side
    above_dome = _dome(plane, anatomy) - plane.y
    heart = _heart(plane, anatomy)
    medial = plane.side - _mediastinum(plane, anatomy)
    # Round at the apices and where the heart meets the great vessels, sharp in the costophrenic angles.
    depth = np.minimum(round_minimum(wall, round_minimum(medial, -heart, 0.12), 0.1), above_dome)
    return Chest(plane.side / np.maximum(cage, 0.02), wall, above_dome, heart, depth)


def _cage(plane: Plane, anatomy: Anatomy) -> Field:
    """Half-width of the rib cage at each height: an egg, narrow at the apices, widest above the diaphragm."""
    t = np.clip((plane.y - anatomy.apex) / 1.25, 0, 1)
    egg = np.power(1 - np.power(1 - t, 2.3), 0.52) * (1 - 0.06 * t * t)
    result: Field = anatomy.cage * egg * plane.by_side(left=anatomy.left_narrowing, right=1)
    return result


def _dome(plane: Plane, anatomy: Anatomy) -> Field:
    """Y of the diaphragm: two domes that fall off steeply towards the costophrenic angles."""
    top = plane.by_side(left=anatomy.dome_left, right=anatomy.dome_right)
    offset = (plane.side - 0.34) / (anatomy.cage - 0.34)
    lateral, medial = np.clip(offset, 0, None), np.clip(offset, None, 0)
    result: Field = top + 0.25 * np.square(lateral) + 0.06 * np.square(medial)
    return result


def _heart(plane: Plane, anatomy: Anatomy) -> Field:
    """Distance inside the heart's border, about frame units: a tilted egg whose apex points to the patient's left."""
    x, y = plane.x - anatomy.heart_x, plane.y - anatomy.heart_y
    c, s = math.cos(anatomy.heart_angle), math.sin(anatomy.heart_angle)
    along, across = x * c + y * s, y * c - x * s
    result: Field = (1 - ellipse(along, across, anatomy.heart_length, anatomy.heart_breadth)) * anatomy.heart_breadth
    return result


def _mediastinum(plane: Plane, anatomy: Anatomy) -> Field:
    """Half-width of the mediastinum: great vessels above, aortic knob and pulmonary trunk on the left, right atrium."""
    knob_y = anatomy.heart_y - 0.55
    widening = 0.03 * soft_step(anatomy.apex + 0.1 - plane.y, 0.3)
    knob = anatomy.knob * bump(plane.y - knob_y, 0.08)
    trunk = 0.06 * bump(plane.y - (knob_y + 0.24), 0.11)
    cava = 0.03 * bump(plane.y - (knob_y + 0.1), 0.2)
    result: Field = anatomy.mediastinum + widening + np.where(plane.left, knob + trunk, cava)
    return result


def body(plane: Plane, anatomy: Anatomy) -> Field:
    """Soft tissue of trunk, neck and shoulders in the beam: 0 in air, about 1 through the middle of the trunk."""
    armpit = soft_step(plane.y + 0.1, 0.2)
    half_width = 1.4 + (anatomy.trunk - 1.4) * armpit
    to_side = half_width + 0.05 * np.square(plane.y) - plane.side
    away = np.clip(plane.side - 0.18, 0, 1)
    shoulder = 0.36 * np.sqrt(away) + 0.12 * away * away
    to_top = plane.y + 1.2 - shoulder
    inside = round_minimum(to_side, to_top, 0.3)
    # The chord through a round body grows with the square root of the distance from its edge.
    chord = np.sqrt(np.clip(inside / 0.4, 0, 1))
    skin = 0.1 * soft_step(inside, 0.01)
    result: Field = (skin + 0.9 * chord) * anatomy.bulk
    return result


def organs(plane: Plane, chest: Chest, anatomy: Anatomy) -> Field:
    """What organs add to the body wall's attenuation; negative where there is air."""
    air = soft_step(chest.depth, 0.008) * (0.66 + 0.34 * (1 - np.exp(chest.depth * -9)))
    total: Field = air * -0.62
    total += 0.17 * soft_step(chest.heart, 0.05)
    total += 0.12 * soft_step(anatomy.mediastinum - plane.side, 0.08)
    total += 0.2 * soft_step(-chest.above_dome, 0.1)
    total += _trachea(plane, anatomy) + _stomach(plane, anatomy) + _breasts(plane, anatomy)
    return total


def _trachea(plane: Plane, anatomy: Anatomy) -> Field:
    """The dark column of the airway above the carina, and the two main bronchi."""
    carina = anatomy.heart_y - 0.42
    column = bump(plane.x - 0.01, 0.028) * soft_step(carina - plane.y, 0.05)
    branch = bump(plane.side - 0.7 * (plane.y - carina), 0.02) * bump(plane.y - carina - 0.07, 0.05)
    result: Field = -0.13 * column - 0.06 * branch
    return result


def _stomach(plane: Plane, anatomy: Anatomy) -> Field:
    """Gas under the left dome."""
    radius = ellipse(plane.x - 0.42, plane.y - (anatomy.dome_left + 0.13), 1.5 * anatomy.gas, anatomy.gas * 0.8)
    result: Field = -0.2 * soft_step(1 - radius, 0.2)
    return result


def _breasts(plane: Plane, anatomy: Anatomy) -> Field:
    """Breast shadows over the lower lungs, thickest along their lower border."""
    y = plane.y - 0.3
    radius = ellipse(plane.side - 0.44, y, 0.34, 0.32)
    inside = soft_step(1 - radius, 0.04) * np.clip(0.2 + y * 2.4, 0, 1)
    result: Field = anatomy.breast * inside
    return result


def vessels(plane: Plane, chest: Chest, anatomy: Anatomy, rng: np.random.Generator) -> Field:
    """Pulmonary vessels: hilar shadows with branches that fan out, split and thin towards the periphery."""
    hilum_y = anatomy.heart_y - 0.28
    x, y = plane.side - (anatomy.mediastinum + 0.03), plane.y - hilum_y
    radius = np.sqrt(x * x + y * y)
    angle = np.arctan2(y, x) + plane.by_side(left=0.35, right=0)
    branches = _fan(angle, radius, 17, rng) + _fan(angle, radius, 41, rng) * np.clip(radius * 5, 0, 1)
    fading = np.exp(radius * -2.6)
    hilum = 0.16 * bump(ellipse(x, y, 0.08, 0.15), 0.75)
    result: Field = (0.24 * branches * fading + hilum) * soft_step(chest.depth + 0.02, 0.03)
    return result


def _fan(angle: Field, radius: Field, count: int, rng: np.random.Generator) -> Field:
    """``count`` wavy spokes of random strength around the hilum, each 0 to 1 in brightness."""
    wave = 0.11 * np.sin(radius * rng.uniform(9, 13) + rng.uniform(0, 6.28))
    turn = (angle + wave) * (count / (2 * math.pi)) + count
    cell = np.floor(turn)
    strength = rng.uniform(0.0, 1.0, size=2 * count + 2).astype(np.float32) ** 2
    thickness = (count / (2 * math.pi) * 0.009) / (radius + 0.04)
    spoke = bump((turn - cell - 0.5) / np.clip(thickness, 0.06, 0.2), 1.0)
    result: Field = spoke * strength[np.clip(cell, 0, 2 * count + 1).astype(np.intp)]
    return result
