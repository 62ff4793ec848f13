"""What one cell gave: every repetition and what was seen around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from cxr_edge.bench.grid import Cell
from cxr_edge.bench.memory import Memory
from cxr_edge.bench.sensors import SensorReadings
from cxr_edge.bench.statistics import LatencySummary, summarise

__all__ = ["Measurement"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One cell measured once, in one process.

    Attributes:
        cell: what was measured.
        round: number of the pass over the grid, from 0.
        repetitions_ms: wall time of each repetition, in the order in which they ended.
        stages_ms: median of each stage within a repetition, where the work tells them.
        wall_s: from the first repetition's start to the last one's end.
        images: images of one repetition.
        load_ms: loading the model; None where there is none.
        cold_start_ms: from starting the process to its first result; only of ``end-to-end``.
        memory: after the repetitions.
        model_bytes, input_bytes: sizes of the files; None where there is none.
        computed_by: what really computed.
        sensors: energy, clock, temperature.
        load_average: of the machine just before: above 0.5 or so the figures are those of a busy machine.
        thinned: only evenly spaced quantiles of the repetitions are kept, in ascending order.
        summary: of all repetitions, also where ``thinned``.
    """

    cell: Cell
    round: int
    repetitions_ms: tuple[float, ...]
    stages_ms: Mapping[str, float]
    wall_s: float
    images: int
    load_ms: float | None
    cold_start_ms: float | None
    memory: Memory
    model_bytes: int | None
    input_bytes: int | None
    computed_by: str | None
    sensors: SensorReadings
    load_average: float | None
    summary: LatencySummary
    thinned: bool = False

    @property
    def throughput(self) -> float:
        """Images a second over all streams."""
        return self.summary.n * self.images / self.wall_s

    def to_json(self) -> dict[str, Any]:
        """The record's line without its head: cell and figures side by side."""
        return {
            **self.cell.to_json(),
            "round": self.round,
            **asdict(self.summary),
            "throughput": self.throughput,
            "load_ms": self.load_ms,
            "cold_start_ms": self.cold_start_ms,
            **asdict(self.memory),
            "model_bytes": self.model_bytes,
            "input_bytes": self.input_bytes,
            "images": self.images,
            "wall_s": self.wall_s,
            "computed_by": self.computed_by,
            "stages_ms": dict(self.stages_ms),
            "sensors": self.sensors.to_json(),
            "load_average": self.load_average,
            "thinned": self.thinned,
            "repetitions_ms": list(self.repetitions_ms),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Measurement:
        """What `to_json` wrote.

        Raises:
            KeyError, TypeError: a field is missing or of another kind.
        """
        plain = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        return cls(
            **{
                **plain,
                "cell": Cell.from_json(value),
                "repetitions_ms": tuple(value["repetitions_ms"]),
                "memory": Memory(**{field.name: value[field.name] for field in fields(Memory)}),
                "sensors": SensorReadings.from_json(value["sensors"]),
                "summary": LatencySummary(**{field.name: value[field.name] for field in fields(LatencySummary)}),
            }
        )

    @classmethod
    def pooled(cls, rounds: list[Measurement]) -> Measurement:
        """All rounds of one cell as one: repetitions together, the figures around them those of the last round."""
        if len(rounds) == 1:
            return rounds[0]
        repetitions = tuple(ms for one in rounds for ms in one.repetitions_ms)
        wall = sum(one.wall_s for one in rounds)
        return replace(rounds[-1], repetitions_ms=repetitions, wall_s=wall, summary=summarise(repetitions))
