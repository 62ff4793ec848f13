"""Measurements made up from numbers, and a machine that never was."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from cxr_edge.bench.environment import Machine
from cxr_edge.bench.grid import Cell
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.memory import Memory
from cxr_edge.bench.sensors import SensorReadings
from cxr_edge.bench.statistics import summarise

CELL = Cell("infer", "onnxruntime", "fp32", 2, "tensor", None)

MakeMeasurement = Callable[..., Measurement]


@pytest.fixture
def machine() -> Machine:
    return Machine(
        cpu="Test CPU",
        flags=("avx2", "sse2"),
        cores=4,
        usable_cores=2,
        governor=None,
        memory_mb=8192,
        system="Linux x86_64",
        python="3.11.2",
        versions={"cxr-edge": "0.1.0"},
        preprocessing="numpy",
        commit="0123456789ab",
        bundle="tiny 1 abc",
    )


@pytest.fixture
def measurement() -> MakeMeasurement:
    """Makes a measurement of some times; ``cell`` and ``round`` vary it, other fields by name."""

    def make(times: Sequence[float], cell: Cell = CELL, number: int = 0, **fields: object) -> Measurement:
        values: dict[str, object] = {
            "cell": cell,
            "round": number,
            "repetitions_ms": tuple(times),
            "stages_ms": {},
            "wall_s": sum(times) / 1000,
            "images": 1,
            "load_ms": 100.0,
            "cold_start_ms": None,
            "memory": Memory(50.0, 60.0, 0.0),
            "model_bytes": 1000,
            "input_bytes": None,
            "computed_by": "onnxruntime",
            "sensors": SensorReadings(None, None, None, None, ("energy_j",)),
            "load_average": 0.1,
            "summary": summarise(times),
        }
        return Measurement(**{**values, **fields})  # type: ignore[arg-type]

    return make
