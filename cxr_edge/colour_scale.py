"""The heatmap's colours: which colour and how opaque a given evidence is, and the legend that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cxr_edge.errors import UsageError

__all__ = ["ColourScale", "with_legend"]

# Anchors at equal steps of evidence. Lightness falls steadily along each, so that both read in print and for readers
# who do not tell red from green; blue against red stays apart for them too.
WARM = ((255, 236, 150), (255, 196, 84), (252, 141, 52), (229, 74, 34), (172, 18, 38))
COOL = ((198, 232, 244), (140, 202, 228), (80, 158, 207), (38, 108, 176), (16, 60, 130))
OPACITY_AT_FULL = 0.62
"""The radiograph must stay readable under the strongest colour."""
MIN_LEGEND_HEIGHT = 96
"""Rows, pixels, below which the legend's five numbers would run into each other."""
TITLE = "evidence for abnormal, logits (research use only)"

RGB = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ColourScale:
    """A fixed scale from evidence in logits to colours: equal colours mean equal evidence in every picture.

    Attributes:
        full: evidence, in logits above ``neutral``, at which colour and opacity stop growing.
        neutral: evidence without colour; with an operating point's threshold, warm is what speaks for "abnormal".
        show_normal: colour evidence below ``neutral`` too, in blue; otherwise it stays clear.

    Raises:
        UsageError: ``full`` is not positive, or a number is not finite.
    """

    full: float = 6.0
    neutral: float = 0.0
    show_normal: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.full) and self.full > 0 and np.isfinite(self.neutral)):
            raise UsageError(
                f"colour scale needs a positive full and a finite neutral; got {self.full}, {self.neutral}"
            )

    def strength(self, evidence: NDArray[Any]) -> NDArray[np.float32]:
        """Signed strength in [-1, 1] of evidence in logits; below 0 only where ``show_normal``."""
        low = -1.0 if self.show_normal else 0.0
        return np.clip((evidence - self.neutral) / self.full, low, 1.0).astype(np.float32)

    def colours(self, strength: NDArray[np.float32]) -> NDArray[np.float32]:
        """Colour ``[..., 3]``, 0-255, of signed strengths."""
        warm, cool = _interpolate(WARM, np.abs(strength)), _interpolate(COOL, np.abs(strength))
        return np.where((strength >= 0)[..., None], warm, cool)

    def opacity(self, strength: NDArray[np.float32]) -> NDArray[np.float32]:
        """Opacity ``[..., 1]`` of signed strengths: 0 without evidence, growing smoothly."""
        return (OPACITY_AT_FULL * np.abs(strength) ** 0.75).astype(np.float32)[..., None]

    def blend(self, grey: NDArray[np.uint8], evidence: NDArray[Any]) -> RGB:
        """The grey picture ``[H, W]`` with the evidence ``[H, W]`` over it, ``[H, W, 3]``."""
        strength = self.strength(evidence)
        opacity = self.opacity(strength)
        blended = grey[..., None] * (1 - opacity) + self.colours(strength) * opacity
        return np.rint(blended).astype(np.uint8)


def _interpolate(anchors: tuple[tuple[int, int, int], ...], position: NDArray[np.float32]) -> NDArray[np.float32]:
    steps = np.linspace(0.0, 1.0, len(anchors))
    channels = [np.interp(position, steps, channel) for channel in zip(*anchors, strict=True)]
    return np.stack(channels, axis=-1).astype(np.float32)


def with_legend(picture: RGB, scale: ColourScale) -> RGB:
    """The picture with a strip on its right: the colours over mid-grey, with their evidence in logits.

    A picture of less than 96 rows, which has no room for the numbers, comes back as it is.

    Args:
        picture: ``[H, W, 3]``.
        scale: the one that the picture was made with.
    """
    height = picture.shape[0]
    if height < MIN_LEGEND_HEIGHT:
        return picture
    unit = max(height // 40, 8)
    top, bottom = 3 * unit, height - 3 * unit
    values = np.linspace(scale.full, -scale.full if scale.show_normal else 0.0, max(bottom - top, 2)) + scale.neutral
    evidence = np.repeat(values[:, None], unit, axis=1)
    bar = scale.blend(np.full(evidence.shape, 96, np.uint8), evidence)
    strip = Image.new("RGB", (7 * unit, height))
    strip.paste(Image.fromarray(bar), (unit, top))
    _label(strip, scale, unit, top, bottom)
    return np.concatenate([picture, np.asarray(strip)], axis=1)


def _label(strip: Image.Image, scale: ColourScale, unit: int, top: int, bottom: int) -> None:
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(unit)
    ticks = (1.0, 0.5, 0.0, -0.5, -1.0) if scale.show_normal else (1.0, 0.5, 0.0)
    for tick in ticks:
        y = top + (1.0 - tick) / (1.0 - ticks[-1]) * (bottom - top)
        draw.text((2.4 * unit, y), f"{scale.neutral + tick * scale.full:.1f}", "white", font, anchor="lm")
    title = Image.new("RGB", (bottom - top, 2 * unit))
    ImageDraw.Draw(title).text((title.width / 2, unit), TITLE, "white", font, anchor="mm")
    strip.paste(title.rotate(90, expand=True), (5 * unit, top))
