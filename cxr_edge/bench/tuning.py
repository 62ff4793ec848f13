"""A race of everything that ``auto`` may choose on this device, for `cxr-edge tune`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cxr_edge.bench.cell import CHILD, Plan
from cxr_edge.bench.grid import TENSOR, Cell
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.record import SkippedCell
from cxr_edge.bench.run import Job, run_jobs
from cxr_edge.bundle import Bundle
from cxr_edge.engines import ENGINES, EngineOptions, EngineRow, available_threads
from cxr_edge.engines.tuning import TunedModel, Tuning, tuning_key
from cxr_edge.errors import EngineError

__all__ = ["Race", "TUNING_PLAN", "tune"]

TUNING_PLAN = Plan(repetitions=50, warm_up=5, seconds=3.0)
ROUNDS = 2
"""Passes over all candidates: a machine that gets warmer or busier does so for each of them."""


@dataclass(frozen=True, slots=True)
class Race:
    """What a race gave.

    Attributes:
        tuning: the candidates, the fastest first.
        skipped: candidates that failed, with the reason.
    """

    tuning: Tuning
    skipped: tuple[SkippedCell, ...]


def tune(
    bundle: Bundle,
    plan: Plan = TUNING_PLAN,
    *,
    command: Sequence[str] = CHILD,
    progress: Callable[[int, int, str], None] = lambda number, count, name: None,
) -> Race:
    """Measure each engine, precision and number of threads that ``auto`` may choose, in a process of its own.

    Args:
        bundle: verified bundle.
        plan: how often each candidate is repeated in each of two rounds.
        command: the program that measures one.
        progress: told before each: its number from 1, how many there are, and which it is.

    Raises:
        EngineError: there is nothing to choose from, or nothing ran.
    """
    jobs = [Job(cell, command=command) for cell in candidates(bundle)]
    if not jobs:
        raise EngineError(
            f"bundle {bundle.manifest.name!r} has no model that passed its parity gate on an engine that is ready here"
        )
    rounds: dict[Cell, list[Measurement]] = {}
    skipped: dict[str, SkippedCell] = {}
    with TemporaryDirectory() as workspace:
        for outcome in run_jobs(jobs, plan, ROUNDS, bundle=bundle.path, workspace=Path(workspace), progress=progress):
            if isinstance(outcome, Measurement):
                rounds.setdefault(outcome.cell, []).append(outcome)
            else:
                skipped[outcome.what] = outcome
    if not rounds:
        raise EngineError("; ".join(f"{cell.what}: {cell.reason}" for cell in skipped.values()))
    ranked = sorted((entry(Measurement.pooled(found)) for found in rounds.values()), key=lambda model: model.p50_ms)
    return Race(Tuning(tuning_key(bundle, available_threads()), tuple(ranked)), tuple(skipped.values()))


def candidates(bundle: Bundle) -> tuple[Cell, ...]:
    """What ``auto`` may choose here: installed, ready, and passed at its parity gate."""
    return tuple(
        Cell("infer", row.name, precision, threads, TENSOR, None)
        for row in ENGINES
        if row.is_installed()
        for precision, model in bundle.manifest.models.items()
        if row.name in model.parity_passed and ready(bundle, row, precision)
        for threads in thread_counts(available_threads(), row)
    )


def ready(bundle: Bundle, row: EngineRow, precision: str) -> bool:
    """Whether an engine can open the model on its default device now, its plan for this device included."""
    try:
        return row.misfit(bundle, EngineOptions(precision, row.devices[0], available_threads())) is None
    except EngineError:  # installed, but its runtime does not load here
        return False


def thread_counts(usable: int, row: EngineRow) -> tuple[int, ...]:
    """Powers of two up to the usable cores, and all of them; one count where the CPU does not compute."""
    if row.devices[0] != "cpu":
        return (usable,)
    return tuple(sorted({*(1 << power for power in range(usable.bit_length()) if 1 << power <= usable), usable}))


def entry(measured: Measurement) -> TunedModel:
    """A candidate of the race with its median."""
    cell = measured.cell
    assert cell.engine is not None  # every candidate has both
    assert cell.precision is not None
    return TunedModel(cell.engine, cell.precision, cell.threads, measured.summary.p50_ms)
