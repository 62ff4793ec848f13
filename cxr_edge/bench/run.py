"""Running a grid: cell after cell, round after round, with what can be kept kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_edge.bench.cell import CHILD, CellRequest, Plan, measure_cell
from cxr_edge.bench.grid import OWN, Cell
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.record import RecordWriter, SkippedCell
from cxr_edge.errors import CxrEdgeError, EngineError, UnsupportedInputError

__all__ = ["Job", "Progress", "run_jobs"]

Progress = Callable[[int, int, str], None]
"""Told before each cell: its number from 1, how many there are, and which it is."""


@dataclass(frozen=True, slots=True)
class Job:
    """One cell and what its process needs.

    Attributes:
        cell: what to measure.
        sample: path of its input, or None.
        command: the program that measures it.
        required: its engine was asked for by name, so that a failure of it ends the bench.
    """

    cell: Cell
    sample: Path | None = None
    command: Sequence[str] = CHILD
    required: bool = False


def run_jobs(
    jobs: Sequence[Job],
    plan: Plan,
    rounds: int,
    *,
    bundle: Path,
    workspace: Path,
    writer: RecordWriter | None = None,
    progress: Progress = lambda number, count, name: None,
) -> Iterator[Measurement | SkippedCell]:
    """Measurements as they are made, those that the record already has included.

    Rounds go over the whole grid in turn, so that a machine that gets slower or warmer does so for every cell.

    Args:
        jobs: the cells.
        plan: how often each is repeated in a round.
        rounds: passes over the grid, at least 1.
        bundle: its directory.
        workspace: folder that the cells share.
        writer: the record, or None where nothing is kept.
        progress: told before each cell.

    Raises:
        EngineError: an engine that was asked for by name fails.
        CxrEdgeError: a cell fails for a reason that no engine or input format explains.
    """
    count = len(jobs) * rounds
    for position, (number, job) in enumerate(((number, job) for number in range(rounds) for job in jobs), 1):
        kept = writer.done(job.cell, number) if writer else None
        if kept is not None:
            yield kept
            continue
        progress(position, count, str(job.cell))
        sample = str(job.sample) if job.sample else None
        request = CellRequest(job.cell, plan, number, sample, str(bundle), str(workspace))
        outcome = _measured_or_skipped(job, request)
        if writer is not None:
            writer.add(outcome) if isinstance(outcome, Measurement) else writer.skip(outcome)
        yield outcome


def _measured_or_skipped(job: Job, request: CellRequest) -> Measurement | SkippedCell:
    try:
        return measure_cell(request, job.command)
    except CxrEdgeError as error:
        # A peer that fails is a gap in the table; of our own cells only what this machine or version has not.
        explained = isinstance(error, EngineError | UnsupportedInputError) or job.cell.way != OWN
        if job.required or not explained:
            raise
        return SkippedCell(str(job.cell), str(error))
