"""A whole bench from its options: checks first, then samples, then the cells."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cxr_edge.bench.cell import Plan
from cxr_edge.bench.environment import this_machine
from cxr_edge.bench.grid import OWN, STAGES, Cell, Grid
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.models import Models, find_models
from cxr_edge.bench.record import RecordWriter, SkippedCell
from cxr_edge.bench.run import Job, Progress, run_jobs
from cxr_edge.bench.sample_bytes import SAMPLE_KINDS
from cxr_edge.bench.samples import Sample, make_samples, parse_size, read_samples
from cxr_edge.bundle import open_bundle
from cxr_edge.engines import available_threads
from cxr_edge.errors import UnsupportedInputError, UsageError
from cxr_edge.gate import GateSpec

__all__ = ["DEFAULT_INPUTS", "QUICK_PLAN", "QUICK_STAGES", "BenchOptions", "bench", "jobs_of"]

DEFAULT_INPUTS = ("frame", "png", "jpeg", "dicom", "dicom-jpeg2000")
QUICK_STAGES = ("import", "decode", "preprocess", "infer", "end-to-end")
QUICK_PLAN = Plan(repetitions=30, warm_up=2, seconds=2.0)


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to bench.

    Attributes:
        bundle: its directory; None means the one that ships.
        engines, precisions: names; empty means all that run here. What is named and missing is an error.
        threads: numbers of CPU threads; empty means 1 and every core that this process may use.
        batches, streams: see `Cell`.
        inputs: kinds of `SAMPLE_KINDS`, or paths of files; empty means `DEFAULT_INPUTS`.
        stages: of `STAGES`; empty means all.
        size: ``ROWSxCOLUMNS`` of the phantom.
        plan: how often each cell is repeated in a round.
        rounds: passes over the grid.
        output: the record; one that is there is continued; None keeps none.
    """

    bundle: Path | None = None
    engines: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    batches: tuple[int, ...] = (1,)
    streams: tuple[int, ...] = (1,)
    inputs: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    size: str = "3000x3000"
    plan: Plan = field(default_factory=Plan)
    rounds: int = 1
    output: Path | None = None


def bench(
    options: BenchOptions, progress: Progress = lambda number, count, name: None
) -> Iterator[Measurement | SkippedCell]:
    """What was measured and what was skipped, as it comes; with an output all of it is in the record, too.

    Args:
        options: what to bench.
        progress: told before each cell.

    Raises:
        UsageError: options that no bench can have, or a record that was begun elsewhere.
        BundleError: the bundle cannot be used.
        EngineError: an engine or precision that was asked for by name cannot be had.
        CorruptInputError, UnsupportedInputError, ResourceLimitError: a file of the user's cannot be decoded, or the
            record that is to be continued is none.
        RefusedInputError: the input gate refuses a file of the user's.
        OutputError: the record cannot be written.
    """
    if options.rounds < 1:
        raise UsageError(f"{options.rounds} rounds measure nothing: give at least 1")
    bundle = open_bundle(options.bundle)
    models = find_models(bundle, options.engines, options.precisions)
    rows, columns = parse_size(options.size)
    check_threads(options.threads)
    gate_spec = GateSpec.from_json(dict(bundle.manifest.gate))
    own = read_samples(tuple(Path(name) for name in options.inputs if is_file(name)), gate_spec)
    kinds = tuple(name for name in options.inputs or DEFAULT_INPUTS if not is_file(name))
    # Unknown stages and counts below 1 are found before a record is begun.
    grid_of(options, models, ())
    writer = RecordWriter(options.output, this_machine(bundle)) if options.output else None
    with tempfile.TemporaryDirectory(prefix="cxr-edge-bench-") as folder:
        workspace = Path(folder)
        made, missing = make_samples(kinds, rows, columns, workspace)
        check_named_inputs(missing, asked=bool(options.inputs))
        skipped = [SkippedCell(f"{gap.engine} {gap.precision}", gap.reason) for gap in models.missing]
        skipped += [SkippedCell(f"input {kind}", reason) for kind, reason in missing]
        for gap in skipped:
            if writer is not None:
                writer.skip(gap)
            yield gap
        samples = (*made, *own)
        jobs = jobs_of(grid_of(options, models, samples).cells(), samples, required=bool(options.engines))
        if not jobs:
            raise UsageError("these options leave no cell to measure: give a stage with an input that it can have")
        yield from run_jobs(
            jobs,
            options.plan,
            options.rounds,
            bundle=bundle.path,
            workspace=workspace,
            writer=writer,
            progress=progress,
        )


def grid_of(options: BenchOptions, models: Models, samples: tuple[Sample, ...]) -> Grid:
    """The grid that the options span.

    Raises:
        UsageError: an unknown stage, or a count below 1.
    """
    return Grid(
        models=models.available,
        threads=options.threads or tuple(sorted({1, available_threads()})),
        batches=options.batches,
        streams=options.streams,
        samples=samples,
        stages=options.stages or STAGES,
    )


def jobs_of(cells: tuple[Cell, ...], samples: tuple[Sample, ...], *, required: bool = False) -> tuple[Job, ...]:
    """The cells of this library as jobs, each with the path of its sample."""
    paths = {(sample.input, sample.frame): sample.path for sample in samples}
    return tuple(
        Job(cell, paths.get((cell.input or "", cell.frame or "")), required=required and cell.engine is not None)
        for cell in cells
        if cell.way == OWN
    )


def is_file(name: str) -> bool:
    """Whether an input is meant as a path; a bare word that is neither a kind nor a file is a kind misspelt."""
    path = Path(name)
    return name not in SAMPLE_KINDS and (bool(path.suffix) or len(path.parts) > 1 or path.exists())


def check_threads(threads: tuple[int, ...]) -> None:
    """Return when the machine has so many threads.

    Raises:
        UsageError: fewer than 1, or more than this process may use.
    """
    available = available_threads()
    for count in threads:
        if not 1 <= count <= available:
            raise UsageError(f"threads must be 1 to {available}, the cores that this process may use; got {count}")


def check_named_inputs(missing: tuple[tuple[str, str], ...], *, asked: bool) -> None:
    """Return when no input that was asked for by name is missing.

    Raises:
        UnsupportedInputError: one is.
    """
    if asked and missing:
        kind, reason = missing[0]
        raise UnsupportedInputError(f"cannot bench input {kind}: {reason}")
