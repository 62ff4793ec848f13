"""One person's proportions, drawn from a seed; everything that is drawn later follows from them.

Lengths are in frame units: x runs from -1 (the image's left edge, the patient's right side) to 1, y from -1 (top) to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Anatomy", "draw_anatomy"]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Proportions of one chest, in frame units unless another unit is named.

    Attributes:
        midline: x of the spine.
        tilt: lean of the body, units of x per unit of y.
        trunk: half-width of the trunk below the armpits.
        bulk: soft tissue in the beam, relative to the average person.
        cage: half-width of the rib cage at its widest.
        apex: y of the lung apices.
        dome_right, dome_left: y of the diaphragm's domes; the liver keeps the right one higher.
        left_narrowing: width of the left hemithorax relative to the right one.
        mediastinum: half-width of the mediastinum above the heart.
        knob: how far the aortic knob bulges into the left lung.
        heart_x, heart_y: centre of the heart.
        heart_length, heart_breadth: its half-axes.
        heart_angle: rotation of its long axis, radians, apex down and to the patient's left.
        rib_pitch: distance between neighbouring ribs at the spine.
        rib_phase: where the first rib lies, in pitches.
        rib_drop: how steeply the ribs fall towards the side.
        clavicle_y: y of the medial ends of the clavicles.
        clavicle_rise: how much higher their lateral ends lie.
        breast: thickness of the breast shadows, 0 for none.
        gas: radius of the gas bubble in the stomach.
        exposure: brightness of the whole picture relative to the average exposure.
    """

    midline: float
    tilt: float
    trunk: float
    bulk: float
    cage: float
    apex: float
    dome_right: float
    dome_left: float
    left_narrowing: float
    mediastinum: float
    knob: float
    heart_x: float
    heart_y: float
    heart_length: float
    heart_breadth: float
    heart_angle: float
    rib_pitch: float
    rib_phase: float
    rib_drop: float
    clavicle_y: float
    clavicle_rise: float
    breast: float
    gas: float
    exposure: float


def draw_anatomy(rng: np.random.Generator, view: Literal["PA", "AP"]) -> Anatomy:
    """A person's proportions; the same generator state gives the same person in both views.

    Args:
        rng: seeded generator.
        view: AP magnifies the heart, which lies further from the detector, and is taken at a shallower breath.
    """

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    supine = view == "AP"
    magnification = 1.18 if supine else 1.0
    dome_right = between(0.42, 0.58) - (0.12 if supine else 0.0)
    cage = between(0.72, 0.82)
    apex = between(-0.8, -0.7)
    return Anatomy(
        midline=between(-0.03, 0.03),
        tilt=between(-0.025, 0.025),
        trunk=cage + between(0.1, 0.2),
        bulk=between(0.85, 1.15),
        cage=cage,
        apex=apex,
        dome_right=dome_right,
        dome_left=dome_right + between(0.03, 0.09),
        left_narrowing=between(0.93, 0.99),
        mediastinum=between(0.12, 0.15),
        knob=between(0.05, 0.1),
        heart_x=between(0.11, 0.16),
        heart_y=dome_right - between(0.12, 0.17),
        heart_length=between(0.34, 0.42) * magnification,
        heart_breadth=between(0.21, 0.26) * magnification,
        heart_angle=between(0.5, 0.75),
        rib_pitch=between(0.145, 0.165),
        rib_phase=between(0.0, 1.0),
        rib_drop=between(0.3, 0.42),
        clavicle_y=apex + between(0.17, 0.24),
        clavicle_rise=between(0.08, 0.17),
        breast=between(0.06, 0.16) if rng.random() < 0.5 else 0.0,
        gas=between(0.05, 0.11),
        exposure=between(0.94, 1.06),
    )
