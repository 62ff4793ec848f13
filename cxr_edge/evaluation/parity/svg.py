"""Charts as inline SVG, drawn without any library: axes, points, lines, bars. Every text is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["Chart", "nice_ticks"]

WIDTH, HEIGHT = 460.0, 330.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 14.0, 48.0
"""Margins around the plotting area, in SVG units."""


@dataclass(slots=True)
class Chart:
    """One chart that grows by what is added to it; data coordinates in, SVG units out.

    Marks are clipped to the plotting area. Colours come from CSS classes, so that the page decides on them.

    Attributes:
        x, y: lowest and highest value of each axis.
        title: what the chart shows, for readers who cannot see it.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    title: str
    _marks: list[str] = field(default_factory=list)
    _frame: list[str] = field(default_factory=list)

    def across(self, value: float) -> float:
        """SVG x of a value."""
        low, high = self.x
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def up(self, value: float) -> float:
        """SVG y of a value."""
        low, high = self.y
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def axes(self, x_label: str, y_label: str) -> Chart:
        """Add grid, numbers and names of both axes."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        x_ticks, y_ticks = nice_ticks(*self.x), nice_ticks(*self.y)
        for tick, text in zip(x_ticks, tick_texts(x_ticks), strict=True):
            x = self.across(tick)
            self._frame.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>')
            self._frame.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
        for tick, text in zip(y_ticks, tick_texts(y_ticks), strict=True):
            y = self.up(tick)
            self._frame.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            self._frame.append(f'<text class="tick" x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        middle_x, middle_y = (LEFT + right) / 2, (TOP + bottom) / 2
        self._frame.append(
            f'<text class="name" x="{middle_x}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_label)}</text>'
            f'<text class="name" transform="translate(15 {middle_y}) rotate(-90)" text-anchor="middle">'
            f"{escape(y_label)}</text>"
        )
        return self

    def points(self, xs: Iterable[float], ys: Iterable[float], css: str, radius: float = 2.6) -> Chart:
        """Add a dot for each pair."""
        self._marks += [
            f'<circle class="{css}" cx="{self.across(x):.1f}" cy="{self.up(y):.1f}" r="{radius}"/>'
            for x, y in zip(xs, ys, strict=True)
        ]
        return self

    def line(self, xs: Iterable[float], ys: Iterable[float], css: str) -> Chart:
        """Add a line through the pairs, in their order."""
        path = " ".join(f"{self.across(x):.1f},{self.up(y):.1f}" for x, y in zip(xs, ys, strict=True))
        self._marks.append(f'<polyline class="{css}" points="{path}"/>')
        return self

    def level(self, y: float, css: str, text: str = "") -> Chart:
        """Add a horizontal line over the whole width, with a text at its right end."""
        self.line(self.x, (y, y), css)
        if text:
            place = f'x="{WIDTH - RIGHT - 4}" y="{self.up(y) - 4:.1f}" text-anchor="end"'
            self._marks.append(f'<text class="note" {place}>{escape(text)}</text>')
        return self

    def upright(self, x: float, css: str) -> Chart:
        """Add a vertical line over the whole height."""
        return self.line((x, x), self.y, css)

    def bars(self, edges: Sequence[float], heights: Sequence[float], css: str) -> Chart:
        """Add a bar from zero over each pair of neighbouring edges."""
        for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True):
            if height > 0:
                x, y = self.across(left), self.up(height)
                size = f'width="{max(self.across(right) - x - 1, 0.6):.1f}" height="{self.up(0) - y:.1f}"'
                self._marks.append(f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" {size}/>')
        return self

    def svg(self, identity: str) -> str:
        """The finished chart as an ``<svg>`` element.

        Args:
            identity: unique in the page.
        """
        area = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'
        return (
            f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(self.title)}">'
            f'<clipPath id="{identity}"><rect {area}/></clipPath>{"".join(self._frame)}'
            f'<g clip-path="url(#{identity})">{"".join(self._marks)}</g><rect class="edge" {area}/></svg>'
        )


def nice_ticks(low: float, high: float, wanted: int = 5) -> tuple[float, ...]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within ``[low, high]``, about ``wanted`` of them."""
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(number * step for number in range(first, last + 1))


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """The ticks with as many decimals as their distance needs, the same for all, and a true minus sign."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{tick + 0.0:.{decimals}f}".replace("-", "\u2212") for tick in ticks]
