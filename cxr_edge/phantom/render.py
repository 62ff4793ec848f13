"""Drawing a phantom: the only place that joins anatomy, tissues, opacities and exposure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxr_edge.phantom.anatomy import Anatomy, draw_anatomy
from cxr_edge.phantom.exposure import add_noise, collimate, display, enlarged, mark_side, stored
from cxr_edge.phantom.grid import Field, Plane, plane, soft_step
from cxr_edge.phantom.opacities import draw_opacities
from cxr_edge.phantom.skeleton import skeleton
from cxr_edge.phantom.soft_tissue import Chest, body, chest, organs, vessels
from cxr_edge.phantom.spec import Phantom, PhantomSpec
from cxr_edge.records import Box, Radiograph, Window

__all__ = ["lung_mask", "phantom", "render"]

PLANE_SIDE = 512
"""Anatomy is drawn on at most this many points a side and enlarged: its edges are blurred anyway, noise is not."""

OPACITY_DEPTH = 0.05
"""An opacity's centre keeps this distance from the lung's border, in frame units."""

OPACITY_OVERLAP = 0.02
"""How far an opacity may blur over the chest wall and the diaphragm, in frame units."""

PERSON, BONES, VESSELS, OPACITIES, NOISE, MARKER = range(6)
"""Random streams of a seed: what one feature draws never moves another."""


def phantom(spec: PhantomSpec) -> Radiograph:
    """A chest-like test picture: pixels ``[H, W]`` uint8 or uint16, full-range window, ``source="phantom"``."""
    return render(spec).radiograph


def lung_mask(spec: PhantomSpec) -> NDArray[np.bool_]:
    """Where `phantom` of the same spec shows lung clear of heart, mediastinum and diaphragm, ``[H, W]`` bool."""
    person, points = _person(spec)
    return _visible_lungs(chest(points, person), spec)


def render(spec: PhantomSpec) -> Phantom:
    """The picture together with its lungs and the boxes of its opacities."""
    person, points = _person(spec)
    cavity = chest(points, person)
    lungs = _visible_lungs(cavity, spec)
    attenuation = body(points, person) + organs(points, cavity, person)
    attenuation += vessels(points, cavity, person, _stream(spec, VESSELS))
    attenuation += skeleton(points, cavity, person, _stream(spec, BONES))
    boxes: tuple[Box, ...] = ()
    if spec.abnormal:
        centres = _sampled(lungs, points) & (cavity.depth > OPACITY_DEPTH)
        opacities = draw_opacities(centres, _stream(spec, OPACITIES))
        inside: Field = np.minimum(cavity.wall, cavity.above_dome) + OPACITY_OVERLAP
        attenuation += opacities.attenuation * soft_step(inside, 2 * OPACITY_OVERLAP)
        boxes = tuple(_in_frame(box, points, spec) for box in opacities.boxes)
    pixels = stored(_exposed(attenuation, person, spec), spec)
    radiograph = Radiograph(
        pixels=pixels,
        window=Window(0, spec.max_value),
        inverted=spec.inverted,
        source="phantom",
        window_rule="bits stored",
    )
    return Phantom(spec, radiograph, lungs, boxes)


def _stream(spec: PhantomSpec, feature: int) -> np.random.Generator:
    """The generator of one feature."""
    return np.random.default_rng([spec.seed, feature])


def _person(spec: PhantomSpec) -> tuple[Anatomy, Plane]:
    """Who is drawn, and on which plane."""
    person = draw_anatomy(_stream(spec, PERSON), spec.view)
    return person, plane(min(spec.height, PLANE_SIDE), min(spec.width, PLANE_SIDE), person)


def _visible_lungs(cavity: Chest, spec: PhantomSpec) -> NDArray[np.bool_]:
    """Lungs at the frame's own size, cut where the collimator hides them."""
    mask: NDArray[np.bool_] = enlarged(cavity.depth, spec.height, spec.width) > 0
    collimate(mask, spec)
    return mask


def _sampled(mask: NDArray[np.bool_], points: Plane) -> NDArray[np.bool_]:
    """The mask at the drawing plane's points."""
    rows, columns = points.x.shape
    row = (np.arange(rows) * 2 + 1) * mask.shape[0] // (2 * rows)
    column = (np.arange(columns) * 2 + 1) * mask.shape[1] // (2 * columns)
    sampled: NDArray[np.bool_] = mask[row[:, None], column[None, :]]
    return sampled


def _in_frame(box: Box, points: Plane, spec: PhantomSpec) -> Box:
    """A box of the drawing plane in pixels of the frame, at least one pixel."""
    down, across = spec.height / points.x.shape[0], spec.width / points.x.shape[1]
    top, left = int(box.top * down), int(box.left * across)
    return Box(top, left, max(1, round(box.height * down)), max(1, round(box.width * across)))


def _exposed(attenuation: Field, person: Anatomy, spec: PhantomSpec) -> Field:
    """Display values of the frame ``[H, W]``, 0 to 1 before noise."""
    picture = enlarged(display(attenuation, person.exposure), spec.height, spec.width)
    add_noise(picture, spec.noise, _stream(spec, NOISE))
    mark_side(picture, spec, _stream(spec, MARKER))
    collimate(picture, spec)
    return picture
