"""The race behind ``cxr-edge tune``, with made-up times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_edge.bench.cell import CellRequest, Plan
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.tuning import candidates, thread_counts, tune
from cxr_edge.bundle import open_bundle
from cxr_edge.engines import available_threads, engine_row
from cxr_edge.errors import CxrEdgeError, EngineError

MakeMeasurement = Callable[..., Measurement]


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch, measurement: MakeMeasurement) -> dict[int, list[float] | CxrEdgeError]:
    """What a candidate with this number of threads takes, or the error it meets."""
    table: dict[int, list[float] | CxrEdgeError] = {}

    def measured(request: CellRequest, command: object) -> Measurement:
        found = table[request.cell.threads]
        if isinstance(found, CxrEdgeError):
            raise found
        return measurement(found, cell=request.cell, number=request.round)

    monkeypatch.setattr("cxr_edge.bench.run.measure_cell", measured)
    monkeypatch.setattr("cxr_edge.bench.tuning.thread_counts", lambda usable, row: (1, 2))
    return table


@pytest.mark.parametrize(("usable", "counts"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))])
def test_thread_counts_are_powers_of_two_and_all_cores(usable: int, counts: tuple[int, ...]) -> None:
    assert thread_counts(usable, engine_row("onnxruntime")) == counts


def test_an_engine_on_a_gpu_runs_with_one_number_of_threads() -> None:
    assert thread_counts(8, engine_row("tensorrt")) == (8,)


def test_only_what_passed_its_parity_gate_is_measured(tiny_bundle: Path) -> None:
    cells = candidates(open_bundle(tiny_bundle))
    assert {(cell.engine, cell.precision) for cell in cells} == {("onnxruntime", "fp32")}
    assert max(cell.threads for cell in cells) == available_threads()


def test_the_fastest_median_over_the_rounds_is_first(
    tiny_bundle: Path, times: dict[int, list[float] | CxrEdgeError]
) -> None:
    times.update({1: [3.0, 3.0, 90.0], 2: [4.0, 4.0, 4.0]})
    race = tune(open_bundle(tiny_bundle), Plan(3, 0, 1.0))
    assert [(model.threads, model.p50_ms) for model in race.tuning.ranked] == [(1, 3.0), (2, 4.0)]


def test_a_candidate_that_fails_is_left_out_with_its_reason(
    tiny_bundle: Path, times: dict[int, list[float] | CxrEdgeError]
) -> None:
    times.update({1: EngineError("no such device"), 2: [4.0]})
    race = tune(open_bundle(tiny_bundle), Plan(1, 0, 1.0))
    assert [model.threads for model in race.tuning.ranked] == [2]
    assert [cell.reason for cell in race.skipped] == ["no such device"]


def test_a_race_that_nobody_finishes_is_an_error(
    tiny_bundle: Path, times: dict[int, list[float] | CxrEdgeError]
) -> None:
    times.update({1: EngineError("no such device"), 2: EngineError("out of memory")})
    with pytest.raises(EngineError, match="out of memory"):
        tune(open_bundle(tiny_bundle), Plan(1, 0, 1.0))
