"""Random changes of a radiograph between decoding and preprocessing, so that training sees what devices will send.

Geometry is changed on stored pixels; brightness and contrast are changes of the display window, which is exactly what
differs between detectors. Preprocessing itself is the function that runs on the device.

Where the network is shown a part of the frame, that part is moved, not the frame: rotation and scale are about its own
centre and shifts are shares of its own sides, so that a small part is not thrown further than a large one; and what
comes in at its edges is what the frame really has there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_edge.records import MAX_WINDOW_SPAN, Box, Pixels, Radiograph, Window
from cxr_edge.regions import GRID, Region, whole_frame
from training.config import Augmentation

__all__ = ["AugmentedView", "augmented", "augmented_view"]


@dataclass(frozen=True, slots=True)
class AugmentedView:
    """The part of a frame that the network is shown, changed at random.

    Attributes:
        radiograph: the part, of the size of the region's box.
        region: all of it; its lungs moved with the pixels.
        mirrored: whether left and right changed places.
    """

    radiograph: Radiograph
    region: Region
    mirrored: bool


def augmented(radiograph: Radiograph, augmentation: Augmentation, random: np.random.Generator) -> Radiograph:
    """A randomly rotated, scaled, shifted, mirrored and re-windowed copy.

    Args:
        radiograph: what was decoded; unchanged.
        augmentation: how far each change may go.
        random: source of randomness; the same state gives the same copy.
    """
    return augmented_view(radiograph, whole_frame(radiograph), augmentation, random).radiograph


def augmented_view(
    radiograph: Radiograph, region: Region, augmentation: Augmentation, random: np.random.Generator
) -> AugmentedView:
    """The part of the frame that the network is shown, changed at random: a radiograph of its own, shown whole.

    Args:
        radiograph: what was decoded; unchanged.
        region: of it.
        augmentation: how far each change may go.
        random: source of randomness; the same state gives the same view.
    """
    shown = replace(radiograph, window=jittered_window(radiograph.window, augmentation, random))
    filled = replace(shown, pixels=without_padding(shown), padding=None)
    transform = drawn_transform(region.box, augmentation, random)
    view = replace(filled, pixels=warped(filled, region.box, transform))
    lungs = None if region.lungs is None else warped_lungs(region, (radiograph.height, radiograph.width), transform)
    a, b, _, d, e, _ = transform
    mirrored = a * e < b * d
    return AugmentedView(view, replace(region, box=whole_frame(view).box, lungs=lungs), mirrored)


def jittered_window(window: Window, augmentation: Augmentation, random: np.random.Generator) -> Window:
    """The window with its centre shifted and its span scaled, at least one stored unit wide and at most the largest."""
    span = window.hi - window.lo
    centre = (window.lo + window.hi) / 2 + span * random.uniform(-augmentation.brightness, augmentation.brightness)
    # Capped before the ends are taken: cutting one end of a full 16-bit window off would brighten, not flatten.
    half = min(span * math.exp(random.uniform(-augmentation.contrast, augmentation.contrast)), MAX_WINDOW_SPAN) / 2
    lo = round(centre - half)
    return Window(lo, min(max(round(centre + half), lo + 1), lo + MAX_WINDOW_SPAN))


def without_padding(radiograph: Radiograph) -> Pixels:
    """Stored pixels with padding made black: interpolation would blend its value, often an extreme, into others."""
    if radiograph.padding is None:
        return radiograph.pixels
    first, last = radiograph.padding
    pixels: Pixels = radiograph.pixels.copy()
    pixels[(pixels >= first) & (pixels <= last)] = black(radiograph)
    return pixels


def black(radiograph: Radiograph) -> int:
    """The stored value that displays black, or the nearest that the pixel type holds: windows may reach beyond it."""
    limits = np.iinfo(radiograph.pixels.dtype)
    return min(max(radiograph.window.hi if radiograph.inverted else radiograph.window.lo, limits.min), limits.max)


Transform = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f of the map from a view's pixels to the frame's: x' = a x + b y + c, y' = d x + e y + f."""


def drawn_transform(box: Box, augmentation: Augmentation, random: np.random.Generator) -> Transform:
    """A random similarity transform about the centre of a box, as Pillow wants it: from output to input pixels."""
    height, width = box.height, box.width
    angle = math.radians(random.uniform(-augmentation.rotation, augmentation.rotation))
    scale = math.exp(random.uniform(-augmentation.zoom, augmentation.zoom))
    mirror = -1.0 if random.random() < augmentation.flip else 1.0
    shift_x = random.uniform(-augmentation.shift, augmentation.shift) * width
    shift_y = random.uniform(-augmentation.shift, augmentation.shift) * height
    a, b = mirror * math.cos(angle) / scale, mirror * -math.sin(angle) / scale
    d, e = math.sin(angle) / scale, math.cos(angle) / scale
    c = width / 2 + shift_x - a * width / 2 - b * height / 2 + box.left
    f = height / 2 + shift_y - d * width / 2 - e * height / 2 + box.top
    return a, b, c, d, e, f


def warped(radiograph: Radiograph, box: Box, transform: Transform) -> Pixels:
    """Stored pixels of a view, ``[box.height, box.width]`` of the same type; what enters from outside is black."""
    dtype = radiograph.pixels.dtype
    # Pillow interpolates 8-bit or float pictures; wider integers go through float32, which holds 16 bits exactly.
    source = radiograph.pixels if dtype == np.uint8 else radiograph.pixels.astype(np.float32)
    picture = Image.fromarray(source).transform(
        (box.width, box.height),
        Image.Transform.AFFINE,
        transform,
        Image.Resampling.BILINEAR,
        fillcolor=black(radiograph),
    )
    return np.asarray(picture) if dtype == np.uint8 else np.rint(np.asarray(picture)).astype(dtype)


def warped_lungs(region: Region, frame: tuple[int, int], transform: Transform) -> NDArray[np.bool_]:
    """The region's lungs as a view shows them, on the view's own grid ``[GRID, GRID]``; outside the frame are no lungs.

    Args:
        region: with lungs, on the grid of the whole frame.
        frame: height and width of the frame, pixels.
        transform: of the view.
    """
    assert region.lungs is not None
    a, b, c, d, e, f = transform
    across, down = region.box.width / GRID, region.box.height / GRID  # pixels of a cell of the view
    columns, rows = GRID / frame[1], GRID / frame[0]  # cells of a pixel of the frame
    cells = a * across * columns, b * down * columns, c * columns, d * across * rows, e * down * rows, f * rows
    picture = Image.fromarray(region.lungs.astype(np.uint8))
    return np.asarray(picture.transform((GRID, GRID), Image.Transform.AFFINE, cells, Image.Resampling.NEAREST)) > 0
