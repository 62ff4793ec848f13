"""Looking figures up in a record, each with the line that it stands in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cxr_edge.bench.grid import OWN, STAGES
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.record import Record

__all__ = ["Figure", "Figures"]

LINES_BEFORE = 1
"""The machine's line."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement and its line in the record's file, from 1."""

    line: int
    of: Measurement

    @property
    def p50(self) -> float:
        """Median, ms."""
        return self.of.summary.p50_ms


class Figures:
    """All figures of a published record, by stage in the order of a picture's way."""

    def __init__(self, record: Record) -> None:
        first = LINES_BEFORE + len(record.skipped) + 1
        lines = (Figure(number, one) for number, one in enumerate(record.measurements, first))
        self.all = tuple(sorted(lines, key=lambda figure: (STAGES.index(figure.of.cell.stage), figure.line)))

    def __iter__(self) -> Iterator[Figure]:
        return iter(self.all)

    def where(self, stage: str, way: str = OWN, **wanted: object) -> tuple[Figure, ...]:
        """Those of one stage and way whose cells have the wanted values, such as ``precision="int8"``."""
        return tuple(
            figure
            for figure in self.all
            if (figure.of.cell.stage, figure.of.cell.way) == (stage, way)
            and all(getattr(figure.of.cell, name) == value for name, value in wanted.items())
        )

    def fastest(self, stage: str, way: str = OWN, **wanted: object) -> Figure | None:
        """The one with the least median; None where there is none."""
        return min(self.where(stage, way, **wanted), key=lambda figure: figure.p50, default=None)
