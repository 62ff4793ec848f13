"""``cxr-edge bench``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import BundleOption, DebugOption, JsonOption
from cxr_edge.errors import CheckFailedError, UsageError

if TYPE_CHECKING:
    from cxr_edge.bench.measurement import Measurement
    from cxr_edge.bench.record import SkippedCell
    from cxr_edge.bench.session import BenchOptions

Names = list[str] | None


@app.command()
@reported
def bench(
    engine: Annotated[Names, typer.Option("--engine", metavar="NAME,...", help="Engines; default: all here.")] = None,
    precision: Annotated[
        Names, typer.Option("--precision", metavar="NAME,...", help="Precisions; default: all of the bundle.")
    ] = None,
    threads: Annotated[
        Names, typer.Option("--threads", metavar="N,...", help="CPU threads; default: 1 and every usable core.")
    ] = None,
    batch: Annotated[
        Names, typer.Option("--batch", metavar="N,...", help="Images of one inference; default 1.")
    ] = None,
    streams: Annotated[
        Names, typer.Option("--streams", metavar="N,...", help="Simultaneous callers of one engine; default 1.")
    ] = None,
    sample: Annotated[
        Names,
        typer.Option(
            "--input", metavar="KIND|FILE,...", help="frame, png, jpeg, dicom, dicom-jpeg2000 ..., or files of yours."
        ),
    ] = None,
    stage: Annotated[
        Names,
        typer.Option(
            "--stage", metavar="NAME,...", help="import, one-shot, decode, preprocess, infer, end-to-end, folder."
        ),
    ] = None,
    size: Annotated[str, typer.Option("--size", metavar="ROWSxCOLUMNS", help="Of the 16-bit phantom.")] = "3000x3000",
    repetitions: Annotated[
        int | None, typer.Option("--repetitions", metavar="N", help="Timed runs of a cell at most; default 100.")
    ] = None,
    warm_up: Annotated[
        int | None, typer.Option("--warm-up", metavar="N", help="Untimed runs before them; default 3.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="S", help="Time for a cell's repetitions; default 10.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", help="Passes over the whole grid.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="30 runs or 2 s a cell, every usable core, without one-shot and folder.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="RECORD", help="Keep every repetition here; a record begun is continued."
        ),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="DIR", help="Write latency and stage pictures here.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", metavar="A B", help="Measure nothing: ratios of record B to record A."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", metavar="SHARE", help="With --compare: slower by this is no regression.")
    ] = 0.05,
    bundle: BundleOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Measure latency, throughput, memory and start-up on this machine, each cell in a process of its own.

    The grid is engine x precision x threads x batch x input x stage; lists are separated by commas. What cannot run
    here is skipped with the reason; what was asked for by name and is missing gives exit code 7. --compare gives 11
    when a cell of the second record is slower by more than the tolerance with its whole 95 % interval.

    To compare two versions fairly, let them take turns: run each with --rounds 1, then each with --rounds 2, and so on,
    every version into a record of its own; a record is continued by the rounds that it lacks.

    Research use only: not for diagnosis.
    """
    if compare is not None:
        if output is not None or pictures is not None:
            raise UsageError("--compare measures nothing: leave --output and --pictures out")
        return compared(compare[0], compare[1], tolerance, as_json=as_json)

    from cxr_edge.bench.cell import Plan
    from cxr_edge.bench.session import QUICK_PLAN, QUICK_STAGES, BenchOptions
    from cxr_edge.engines import available_threads

    plan = QUICK_PLAN if quick else Plan()
    options = BenchOptions(
        bundle=bundle,
        engines=listed(engine),
        precisions=listed(precision),
        threads=numbers("--threads", threads) or ((available_threads(),) if quick else ()),
        batches=numbers("--batch", batch) or (1,),
        streams=numbers("--streams", streams) or (1,),
        inputs=listed(sample),
        stages=listed(stage) or (QUICK_STAGES if quick else ()),
        size=size,
        plan=Plan(
            plan.repetitions if repetitions is None else repetitions,
            plan.warm_up if warm_up is None else warm_up,
            plan.seconds if seconds is None else seconds,
        ),
        rounds=rounds,
        output=output,
    )
    measured(options, pictures, as_json=as_json)
    return 0


def measured(options: BenchOptions, pictures: Path | None, *, as_json: bool) -> None:
    """Run the bench and print it; pictures last."""
    from cxr_edge.bench.measurement import Measurement
    from cxr_edge.bench.pictures import draw_pictures, make_picture_folder
    from cxr_edge.bench.session import bench as run_bench
    from cxr_edge.bench.table import print_measurements

    if pictures is not None:
        make_picture_folder(pictures)
    done: dict[object, list[Measurement]] = {}
    skipped: list[SkippedCell] = []
    try:
        for outcome in run_bench(options, progress):
            if not isinstance(outcome, Measurement):
                skipped.append(outcome)
                continue
            done.setdefault(outcome.cell, []).append(outcome)
            if as_json and outcome.round == options.rounds - 1:
                print(json_line(Measurement.pooled(done[outcome.cell])), flush=True)
    except (KeyboardInterrupt, SystemExit):
        if options.output is not None:
            print(f"what was measured is in {options.output}; the same command goes on", file=sys.stderr)
        raise
    results = [Measurement.pooled(rounds) for rounds in done.values()]
    if as_json:
        for gap in skipped:
            print(f"skipped {gap.what}: {gap.reason}", file=sys.stderr)
    else:
        print_measurements(results, skipped)
    if pictures is not None:
        for path in draw_pictures(pictures, results):
            print(f"wrote {path}", file=sys.stderr)


def progress(number: int, count: int, name: str) -> None:
    """Say on standard error which cell is next."""
    print(f"[{number}/{count}] {name}", file=sys.stderr, flush=True)


def json_line(measurement: Measurement) -> str:
    """A cell's figures as one line; its repetitions are in the record."""
    from cxr_edge.bench.record import SCHEMA

    figures = {"schema": SCHEMA, **measurement.to_json()}
    del figures["repetitions_ms"]
    return json.dumps(figures)


def compared(before: Path, after: Path, tolerance: float, *, as_json: bool) -> int:
    """Print the ratios of two records; the exit code says whether a cell got slower."""
    from cxr_edge.bench.compare import compare
    from cxr_edge.bench.record import read_record
    from cxr_edge.bench.table import print_comparison

    comparison = compare(read_record(before), read_record(after), tolerance)
    if as_json:
        for ratio in comparison.ratios:
            print(json.dumps(ratio.to_json()))
    else:
        print_comparison(comparison)
    return CheckFailedError.exit_code if comparison.regressions else 0


def listed(values: Names) -> tuple[str, ...]:
    """The names of a repeated option whose values may hold several, separated by commas; each once."""
    return tuple(dict.fromkeys(name.strip() for value in values or () for name in value.split(",") if name.strip()))


def numbers(option: str, values: Names) -> tuple[int, ...]:
    """The whole numbers of such an option.

    Raises:
        UsageError: something that is no whole number.
    """
    names = listed(values)
    for name in names:
        if not name.isdecimal():
            raise UsageError(f"{option} {name!r} is no whole number: give such as 1,2")
    return tuple(map(int, names))
