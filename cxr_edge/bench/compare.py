"""Is the second record slower than the first? Cell by cell, with an interval that the noise of both has a say in."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from cxr_edge.bench.grid import Cell
from cxr_edge.bench.record import Record
from cxr_edge.bench.statistics import median_ratio
from cxr_edge.errors import UsageError
from cxr_edge.probability import Interval

__all__ = ["CellRatio", "Comparison", "compare"]

Verdict = Literal["slower", "faster", "no difference"]


@dataclass(frozen=True, slots=True)
class CellRatio:
    """One cell of both records.

    Attributes:
        cell: what was measured.
        before_ms, after_ms: medians, milliseconds.
        ratio: after / before with its 95 % interval.
        verdict: ``"slower"`` where the whole interval lies above 1 + tolerance, ``"faster"`` where it lies below
            1 / (1 + tolerance).
    """

    cell: Cell
    before_ms: float
    after_ms: float
    ratio: Interval
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """The cell, both medians, the ratio with its ends, and the verdict, side by side."""
        return {
            **self.cell.to_json(),
            "before_p50_ms": self.before_ms,
            "after_p50_ms": self.after_ms,
            **{f"ratio_{name}" if name != "value" else "ratio": end for name, end in asdict(self.ratio).items()},
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two records side by side.

    Attributes:
        ratios: of the cells that both have, in the order of the first.
        only_in_one: cells that only one of them has.
        differences: of the machines: a ratio across them compares machines, not versions of the code.
    """

    ratios: tuple[CellRatio, ...]
    only_in_one: tuple[Cell, ...]
    differences: tuple[str, ...]

    @property
    def regressions(self) -> tuple[CellRatio, ...]:
        """The cells that got slower."""
        return tuple(ratio for ratio in self.ratios if ratio.verdict == "slower")


def compare(before: Record, after: Record, tolerance: float = 0.05) -> Comparison:
    """Ratios of medians of every cell that both records have.

    Each verdict is taken by itself: of a hundred unchanged cells some will have an interval without 1 in it, which is
    why an interval must clear the tolerance as well.

    Args:
        before: the record that is the measure.
        after: the record that is judged.
        tolerance: share by which a cell may get slower without being a regression.

    Raises:
        UsageError: the records share no cell, or the tolerance is negative.
    """
    if not 0 <= tolerance < float("inf"):
        raise UsageError(f"tolerance {tolerance} is not usable: give a share of 0 or more, such as 0.05")
    ours, theirs = before.by_cell(), after.by_cell()
    shared = [cell for cell in ours if cell in theirs]
    if not shared:
        raise UsageError(f"{before.name} and {after.name} share no cell: measure the same grid twice")
    for record in (before, after):
        if any(one.thinned for one in record.measurements):
            raise UsageError(f"{record.name} was shortened for publication: compare the records that it was made from")
    ratios = []
    for cell in shared:
        sides = [[one.repetitions_ms for one in record[cell]] for record in (ours, theirs)]
        ratio = median_ratio(*sides)
        ratios.append(_judged(cell, sides, ratio, tolerance))
    return Comparison(
        tuple(ratios),
        tuple(cell for cell in (*ours, *theirs) if (cell in ours) != (cell in theirs)),
        before.machine.differences(after.machine),
    )


def _judged(cell: Cell, sides: list[list[tuple[float, ...]]], ratio: Interval, tolerance: float) -> CellRatio:
    verdict: Verdict = "no difference"
    if ratio.low > 1 + tolerance:
        verdict = "slower"
    elif ratio.high < 1 / (1 + tolerance):
        verdict = "faster"
    before, after = (median([ms for times in side for ms in times]) for side in sides)
    return CellRatio(cell, before, after, ratio, verdict)
