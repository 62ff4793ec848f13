"""Cells in processes of their own, with the tiny bundle and small frames; of times only what was slept is asserted."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cxr_edge.bench.cell import CHILD, CellRequest, Plan, measure_cell
from cxr_edge.bench.child import measure, repeat
from cxr_edge.bench.compare import compare
from cxr_edge.bench.environment import this_machine
from cxr_edge.bench.grid import Cell
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.record import RecordWriter, SkippedCell, read_record
from cxr_edge.bench.run import Job, run_jobs
from cxr_edge.bench.samples import make_samples
from cxr_edge.bench.stages import prepare
from cxr_edge.bench.workload import Repetition, Workload
from cxr_edge.bundle import open_bundle
from cxr_edge.errors import BundleError, CxrEdgeError, EngineError, UsageError

PLAN = Plan(repetitions=4, warm_up=1, seconds=5.0)
SLEEP_MS = 20
SLOW_PREPROCESS = (
    sys.executable,
    "-c",
    "import time, cxr_edge.preprocess as room; fast = room.preprocess\n"
    f"def slow(*a, **k): time.sleep({SLEEP_MS / 1000}); return fast(*a, **k)\n"
    "room.preprocess = slow\n"
    "from cxr_edge.bench.child import main; main()",
)
"""The library with a sleep planted in its preprocessing, without a line of the library changed."""


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made, _ = make_samples(("frame", "png", "dicom"), 256, 240, tmp_path_factory.mktemp("samples"))
    return {sample.input: sample.path for sample in made}


@pytest.fixture
def request_for(samples: dict[str, Path], tiny_bundle: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    def make(stage: str, kind: str | None = "frame", plan: Plan = PLAN, **changes: object) -> CellRequest:
        computed = stage not in ("import", "decode", "preprocess")
        values: dict[str, object] = {
            "stage": stage,
            "engine": "onnxruntime" if computed else None,
            "precision": "fp32" if computed else None,
            "threads": 1,
            "input": kind,
            "frame": "256x240x16",
        }
        cell = Cell(**{**values, **changes})  # type: ignore[arg-type]
        sample = str(samples[kind]) if kind in samples else None
        return CellRequest(cell, plan, 0, sample, str(tiny_bundle), str(tmp_path))

    return make


@pytest.mark.parametrize(
    ("stage", "kind", "changes"),
    [
        ("import", None, {}),
        ("decode", "dicom", {}),
        ("preprocess", "frame", {}),
        ("infer", "tensor", {"batch": 3}),
        ("infer", "tensor", {"streams": 2}),
        ("end-to-end", "frame", {}),
        ("end-to-end", "dicom", {"streams": 2}),
        ("folder", "dicom", {}),
    ],
)
def test_every_stage_is_repeated_and_summarised(request_for, stage: str, kind: str, changes: dict[str, int]) -> None:  # type: ignore[no-untyped-def]
    request = request_for(stage, kind, **changes)
    measured = measure(request, prepare)
    assert measured.cell == request.cell and len(measured.repetitions_ms) == PLAN.repetitions == measured.summary.n
    assert all(ms > 0 for ms in measured.repetitions_ms) and measured.throughput > 0
    assert (measured.load_ms is not None) == (request.cell.engine is not None) == (measured.model_bytes is not None)
    assert (measured.cold_start_ms is not None) == (stage == "end-to-end")
    assert measured.images == {"infer": changes.get("batch", 1), "folder": 8}.get(stage, 1)
    assert Measurement.from_json(json.loads(json.dumps(measured.to_json()))) == measured


def test_end_to_end_tells_its_stages(request_for) -> None:  # type: ignore[no-untyped-def]
    measured = measure(request_for("end-to-end", "dicom"), prepare)
    assert {"decode", "gate", "preprocess", "infer"} <= set(measured.stages_ms)


def test_a_cell_runs_in_its_own_process_and_answers_with_its_memory(request_for) -> None:  # type: ignore[no-untyped-def]
    measured = measure_cell(request_for("end-to-end", "png"))
    assert measured.cold_start_ms is not None and measured.cold_start_ms > measured.summary.p50_ms
    memory = measured.memory
    if sys.platform == "linux":
        assert memory.rss_mb is not None and memory.peak_mb is not None and 10 < memory.rss_mb <= memory.peak_mb
        assert memory.children_rss_mb is not None and memory.children_rss_mb > 5, "the codec process decoded the PNG"


def test_one_shot_times_the_whole_command(request_for) -> None:  # type: ignore[no-untyped-def]
    measured = measure(request_for("one-shot", "dicom", Plan(1, 0, 1.0)), prepare)
    assert measured.summary.p50_ms > 50 and measured.memory.rss_mb is None


def test_an_error_in_the_process_is_the_same_error_here(request_for, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from dataclasses import replace

    request = replace(request_for("infer", "tensor"), bundle=str(tmp_path / "nowhere"))
    with pytest.raises(BundleError, match="no bundle"):
        measure_cell(request)


@pytest.mark.parametrize("program", ["import os; os.abort()", "print('hello')", ""])
def test_a_process_that_dies_or_talks_nonsense_is_an_error_not_a_figure(request_for, program: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CxrEdgeError, match="no figures"):
        measure_cell(request_for("import", None), (sys.executable, "-c", program))


@pytest.mark.parametrize("plan", [{"repetitions": 0}, {"repetitions": -1}, {"warm_up": -1}, {"seconds": 0}])
def test_a_plan_that_measures_nothing_is_refused(plan: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="give"):
        Plan(**plan)


def test_time_ends_the_repetitions_but_not_before_three() -> None:
    import time

    work = Workload(lambda: (time.sleep(0.02), Repetition(20.0))[1])
    assert len(repeat(work, Plan(repetitions=1000, seconds=0.001), 1)) == 3
    assert len(repeat(work, Plan(repetitions=2, seconds=9), 1)) == 2


def test_a_sleep_planted_in_the_preprocess_is_flagged_and_its_absence_is_not(
    samples: dict[str, Path], tiny_bundle: Path, tmp_path: Path
) -> None:
    """A small frame takes far below 20 ms, so no noise of a busy machine comes near the planted difference."""
    machine = this_machine(open_bundle(tiny_bundle))
    cell = Cell("preprocess", None, None, 1, "frame", "256x240x16")
    plan = Plan(repetitions=15, warm_up=2, seconds=20.0)

    def record(name: str, command: Sequence[str]) -> Path:
        writer = RecordWriter(tmp_path / name, machine)
        jobs = [Job(cell, samples["frame"], command)]
        assert list(run_jobs(jobs, plan, 1, bundle=tiny_bundle, workspace=tmp_path, writer=writer))
        return writer.path

    before, slow = record("before.jsonl", CHILD), record("slow.jsonl", SLOW_PREPROCESS)
    (regression,) = compare(read_record(before), read_record(slow)).regressions
    assert regression.after_ms > SLEEP_MS and regression.ratio.low > 1.05
    # The same record against itself: whatever the noise, it cannot be a regression.
    assert not compare(read_record(before), read_record(before)).regressions


def test_an_interrupted_bench_keeps_its_cells_and_goes_on_with_the_rest(
    samples: dict[str, Path], tiny_bundle: Path, tmp_path: Path
) -> None:
    machine = this_machine(open_bundle(tiny_bundle))
    jobs = [
        Job(Cell("decode", None, None, 1, "dicom", "256x240x16"), samples["dicom"]),
        Job(Cell("preprocess", None, None, 1, "frame", "256x240x16"), samples["frame"]),
    ]
    started: list[str] = []

    def stop_at_the_second(number: int, count: int, name: str) -> None:
        started.append(name)
        if len(started) == 2:
            raise KeyboardInterrupt

    def run(progress) -> list[Measurement | SkippedCell]:  # type: ignore[no-untyped-def]
        writer = RecordWriter(tmp_path / "bench.jsonl", machine)
        return list(run_jobs(jobs, PLAN, 1, bundle=tiny_bundle, workspace=tmp_path, writer=writer, progress=progress))

    with pytest.raises(KeyboardInterrupt):
        run(stop_at_the_second)
    (kept,) = read_record(tmp_path / "bench.jsonl").measurements
    asked: list[str] = []
    outcomes = run(lambda number, count, name: asked.append(name))
    assert outcomes[0] == kept and len(outcomes) == 2
    assert asked == ["preprocess, frame, 1 thread"]


def test_an_engine_that_fails_is_skipped_with_its_reason_unless_it_was_asked_for(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    cell = Cell("infer", "onnxruntime", "int8", 1, "tensor", None)
    for required in (False, True):
        outcomes = run_jobs([Job(cell, required=required)], PLAN, 1, bundle=tiny_bundle, workspace=tmp_path)
        if required:
            with pytest.raises(EngineError, match="int8"):
                list(outcomes)
        else:
            (skipped,) = outcomes
            assert isinstance(skipped, SkippedCell) and "int8" in skipped.reason
