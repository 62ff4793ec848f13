"""The process of one cell: reads a `CellRequest` from standard input, writes a `Measurement` to standard output."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cxr_edge.bench.cell import CellRequest, Plan
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.sensors import Sensors
from cxr_edge.bench.statistics import summarise
from cxr_edge.bench.workload import Repetition, Workload
from cxr_edge.errors import CxrEdgeError

__all__ = ["main", "measure", "serve"]

MIN_REPETITIONS = 3
STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


def main() -> None:
    """Measure one cell of this library."""
    from cxr_edge.bench.stages import prepare

    serve(prepare)


def serve(prepare: Callable[[CellRequest], Workload]) -> None:
    """Answer the request on standard input, with an error's class and message where it failed.

    Args:
        prepare: makes the work that the request's cell names.
    """
    # Runtimes print to standard output, from C++ too: it becomes standard error, and only the answer goes out.
    answer = os.fdopen(os.dup(STANDARD_OUTPUT), "w", encoding="utf-8")
    os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)
    request = CellRequest.from_json(sys.stdin.read())
    try:
        reply = measure(request, prepare).to_json()
    except CxrEdgeError as error:
        reply = {"error": {"kind": type(error).__name__, "message": str(error)}}
    answer.write(json.dumps(reply) + "\n")
    answer.flush()


def measure(request: CellRequest, prepare: Callable[[CellRequest], Workload]) -> Measurement:
    """The cell measured in this process.

    Raises:
        CxrEdgeError: the work cannot be prepared or fails.
    """
    workload = prepare(request)
    try:
        cold_start = warm_up(workload, request)
        sensors = Sensors(gpu=workload.on_gpu)
        started = time.perf_counter()
        repetitions = repeat(workload, request.plan, request.cell.streams, sensors.between_repetitions)
        wall_s = time.perf_counter() - started
        readings, memory = sensors.readings(), workload.memory()
    finally:
        workload.close()
    times = tuple(repetition.ms for repetition in repetitions)
    return Measurement(
        cell=request.cell,
        round=request.round,
        repetitions_ms=times,
        stages_ms=median_stages(repetitions),
        wall_s=wall_s,
        images=workload.images,
        load_ms=workload.load_ms,
        cold_start_ms=cold_start,
        memory=memory,
        model_bytes=workload.model_bytes,
        input_bytes=Path(request.sample).stat().st_size if request.sample else None,
        computed_by=workload.computed_by,
        sensors=readings,
        load_average=None,
        summary=summarise(times),
    )


def warm_up(workload: Workload, request: CellRequest) -> float | None:
    """Run the work untimed, once at least; for ``end-to-end`` the time from process start to the first result, ms."""
    ends = time.monotonic() + request.plan.seconds
    workload.run()
    first = (time.monotonic() - request.started) * 1000
    for _ in range(request.plan.warm_up - 1):
        if time.monotonic() >= ends:
            break
        workload.run()
    return first if request.cell.stage == "end-to-end" else None


def repeat(
    workload: Workload, plan: Plan, streams: int, between: Callable[[], None] = lambda: None
) -> list[Repetition]:
    """The timed repetitions, from ``streams`` threads at the same time; those of one thread are in order."""
    ends = time.monotonic() + plan.seconds

    def one_stream(count: int) -> list[Repetition]:
        done: list[Repetition] = []
        while len(done) < count and (len(done) < MIN_REPETITIONS or time.monotonic() < ends):
            done.append(workload.run())
            if streams == 1:
                between()
        return done

    if streams == 1:
        return one_stream(plan.repetitions)
    with ThreadPoolExecutor(streams) as pool:
        share = -(-plan.repetitions // streams)
        return [repetition for done in pool.map(one_stream, [share] * streams) for repetition in done]


def median_stages(repetitions: list[Repetition]) -> dict[str, float]:
    """Median of each stage that every repetition tells, ms."""
    names = repetitions[0].stages_ms
    return {name: statistics.median(repetition.stages_ms[name] for repetition in repetitions) for name in names}


if __name__ == "__main__":
    main()
