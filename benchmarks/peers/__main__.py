"""``python -m benchmarks.peers -o RECORD``: measure this library beside its peers in one run; see ``--help``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.jobs import INPUTS, all_jobs
from cxr_edge.bench.cell import Plan
from cxr_edge.bench.environment import this_machine
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.models import find_models
from cxr_edge.bench.record import RecordWriter, SkippedCell, read_record
from cxr_edge.bench.run import run_jobs
from cxr_edge.bench.samples import make_samples, parse_size
from cxr_edge.bench.session import QUICK_PLAN
from cxr_edge.bench.table import print_measurements
from cxr_edge.bundle import open_bundle
from cxr_edge.engines import available_threads
from cxr_edge.errors import CxrEdgeError

DESCRIPTION = """
Measure this library beside what people use today, each way in a process of its own, into one record. A record that
was begun is continued; peers that are not installed are skipped with the reason.

About 50 cells with the engines of today. --quick gives each 2 s or 30 repetitions, one round: about 5 minutes on two
quiet cores, the conversion by NNCF and the compilation by PyTorch included. Without it three rounds of 10 s or 100
repetitions: about 25 minutes.
"""


def main() -> int:
    """Run and print; the exit code is the library's."""
    options = parser().parse_args()
    try:
        run(options)
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"what was measured is in {options.output}; the same command goes on", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("python -m benchmarks.peers", description=DESCRIPTION)
    made.add_argument("-o", "--output", type=Path, required=True, metavar="RECORD", help="record to write or continue")
    made.add_argument("--quick", action="store_true", help="one short round")
    made.add_argument("--rounds", type=int, help="passes over all cells; default 3, with --quick 1")
    made.add_argument("--repetitions", type=int, help="timed runs of a cell at most; default 100, with --quick 30")
    made.add_argument("--seconds", type=float, help="time for a cell's repetitions; default 10, with --quick 2")
    made.add_argument("--size", default="3000x3000", metavar="ROWSxCOLUMNS", help="of the 16-bit phantom")
    made.add_argument("--stage", action="append", help="only this stage; repeatable")
    made.add_argument("--bundle", type=Path, help="bundle to use; default: the one that ships")
    return made


def run(options: argparse.Namespace) -> None:
    """Measure what the record lacks and print all that it has.

    Raises:
        CxrEdgeError: the bundle or the record cannot be used, or a cell of this library failed.
    """
    bundle = open_bundle(options.bundle)
    models = find_models(bundle)
    plan, rounds = plan_of(options)
    writer = RecordWriter(options.output, this_machine(bundle))
    with tempfile.TemporaryDirectory(prefix="cxr-edge-peers-") as folder:
        rows, columns = parse_size(options.size)
        samples, missing = make_samples(INPUTS, rows, columns, Path(folder))
        jobs, skipped = all_jobs(models, bundle.manifest, samples, available_threads())
        gaps: Sequence[SkippedCell] = (
            *(SkippedCell(f"{gap.engine} {gap.precision}", gap.reason) for gap in models.missing),
            *(SkippedCell(f"input {kind}", reason) for kind, reason in missing),
            *skipped,
        )
        for gap in gaps:
            writer.skip(gap)
        wanted = [job for job in jobs if not options.stage or job.cell.stage in options.stage]
        for outcome in run_jobs(
            wanted, plan, rounds, bundle=bundle.path, workspace=Path(folder), writer=writer, progress=progress
        ):
            if not isinstance(outcome, Measurement):
                print(f"skipped {outcome.what}: {outcome.reason}", file=sys.stderr)
    record = read_record(options.output)
    print_measurements(record.pooled(), record.skipped)


def plan_of(options: argparse.Namespace) -> tuple[Plan, int]:
    """How often each cell is repeated, and how many rounds."""
    base, rounds = (QUICK_PLAN, 1) if options.quick else (Plan(), 3)
    plan = Plan(
        base.repetitions if options.repetitions is None else options.repetitions,
        base.warm_up,
        base.seconds if options.seconds is None else options.seconds,
    )
    return plan, rounds if options.rounds is None else options.rounds


def progress(number: int, count: int, name: str) -> None:
    """Say on standard error which cell is next."""
    print(f"[{number}/{count}] {name}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
