"""Random changes of a radiograph between decoding and preprocessing, so that training sees what devices will send.

Geometry is changed on stored pixels; brightness and contrast are changes of the display window, which is exactly what
differs between detectors. Preprocessing itself is the function that runs on the device.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from PIL import Image

from cxr_edge.records import MAX_WINDOW_SPAN, Pixels, Radiograph, Window
from training.config import Augmentation

__all__ = ["augmented"]


def augmented(radiograph: Radiograph, augmentation: Augmentation, random: np.random.Generator) -> Radiograph:
    """A randomly rotated, scaled, shifted, mirrored and re-windowed copy.

    Args:
        radiograph: what was decoded; unchanged.
        augmentation: how far each change may go.
        random: source of randomness; the same state gives the same copy.
    """
    shown = replace(radiograph, window=jittered_window(radiograph.window, augmentation, random))
    filled = replace(shown, pixels=without_padding(shown), padding=None)
    return replace(filled, pixels=warped(filled, augmentation, random))


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


def warped(radiograph: Radiograph, augmentation: Augmentation, random: np.random.Generator) -> Pixels:
    """Stored pixels under one random similarity transform, same shape and type; what enters from outside is black."""
    height, width = radiograph.pixels.shape
    angle = math.radians(random.uniform(-augmentation.rotation, augmentation.rotation))
    scale = math.exp(random.uniform(-augmentation.zoom, augmentation.zoom))
    mirror = -1.0 if random.random() < augmentation.flip else 1.0
    shift_x = random.uniform(-augmentation.shift, augmentation.shift) * width
    shift_y = random.uniform(-augmentation.shift, augmentation.shift) * height
    # Pillow wants the map from output to input pixels: x_in = a x + b y + c, about the frame's centre.
    a, b = mirror * math.cos(angle) / scale, mirror * -math.sin(angle) / scale
    d, e = math.sin(angle) / scale, math.cos(angle) / scale
    c = width / 2 + shift_x - a * width / 2 - b * height / 2
    f = height / 2 + shift_y - d * width / 2 - e * height / 2
    dtype = radiograph.pixels.dtype
    # Pillow interpolates 8-bit or float pictures; wider integers go through float32, which holds 16 bits exactly.
    source = radiograph.pixels if dtype == np.uint8 else radiograph.pixels.astype(np.float32)
    picture = Image.fromarray(source).transform(
        (width, height),
        Image.Transform.AFFINE,
        (a, b, c, d, e, f),
        Image.Resampling.BILINEAR,
        fillcolor=black(radiograph),
    )
    return np.asarray(picture) if dtype == np.uint8 else np.rint(np.asarray(picture)).astype(dtype)
