"""``python -m benchmarks.native_engine_page.measure -o RECORD``: all figures of the engine's page in one run."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.native_engine_page.programs import (
    Programs,
    Repetitions,
    built,
    layers_of,
    library,
    opening_in_c,
    opening_in_python,
)
from benchmarks.native_engine_page.record import append
from benchmarks.peers.jobs import PEER_COMMAND
from benchmarks.peers.table import PEERS
from cxr_edge.bench.cell import Plan
from cxr_edge.bench.environment import load_average, this_machine
from cxr_edge.bench.grid import TENSOR, Cell
from cxr_edge.bench.record import RecordWriter, SkippedCell
from cxr_edge.bench.run import Job, run_jobs
from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.engines import available_threads
from cxr_edge.errors import CxrEdgeError, UsageError

ROOT = Path(__file__).resolve().parents[2]
NNCF = "NNCF's own INT8"
QUIET_LOAD = 0.5
"""Load average above which the figures are those of a busy machine."""

DESCRIPTION = """
Measure the native engine into a new record: each kind of operation on one and on all cores beside the processor's own
peak, the network beside OpenVINO's INT8 in interleaved rounds, opening, memory and size. About 4 minutes on two quiet
cores.
"""


def main() -> int:
    """Measure; the exit code is the library's."""
    made = argparse.ArgumentParser("python -m benchmarks.native_engine_page.measure", description=DESCRIPTION)
    made.add_argument("-o", "--output", type=Path, required=True, metavar="RECORD", help="new record to write")
    made.add_argument("--repetitions", type=int, default=100, help="inferences of a measurement; default 100")
    made.add_argument("--rounds", type=int, default=4, help="turns of each engine; default 4")
    made.add_argument("--openings", type=int, default=20, help="of the model in one process; default 20")
    made.add_argument("--bundle", type=Path, help="bundle to use; default: the one that ships")
    made.add_argument("--build", type=Path, default=ROOT / "build/native-benchmarks", help="folder for the programs")
    options = made.parse_args()
    try:
        measure(options)
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measure(options: argparse.Namespace) -> None:
    """Write the record.

    Raises:
        UsageError: the record exists, or the bundle has no file for the native engine.
        CxrEdgeError: a program or a cell of this library failed.
    """
    if options.output.exists():
        raise UsageError(f"{options.output} exists: give another name; figures of two runs don't belong together")
    bundle = open_bundle(options.bundle)
    native = bundle.manifest.models["int8"].native if "int8" in bundle.manifest.models else None
    if native is None:
        raise UsageError(f"bundle {bundle.manifest.name!r} has no file for the native engine: export it again")
    programs = built(options.build)
    warn_of_load()
    writer = RecordWriter(options.output, this_machine(bundle))
    side_by_side(bundle, Plan(options.repetitions), options.rounds, writer)
    repetitions = Repetitions(options.repetitions, options.openings)
    for threads in thread_counts():
        own_programs(programs, bundle, bundle.path / native, threads, repetitions, options.output)
    append(options.output, library())


def side_by_side(bundle: Bundle, plan: Plan, rounds: int, writer: RecordWriter) -> None:
    """The network alone on every engine's INT8, each turn in a process of its own, turns interleaved."""
    with tempfile.TemporaryDirectory(prefix="cxr-edge-native-") as folder:
        jobs, skipped = all_jobs()
        for gap in skipped:
            writer.skip(gap)
        for outcome in run_jobs(
            jobs, plan, rounds, bundle=bundle.path, workspace=Path(folder), writer=writer, progress=progress
        ):
            if isinstance(outcome, SkippedCell):
                print(f"skipped {outcome.what}: {outcome.reason}", file=sys.stderr)


def all_jobs() -> tuple[list[Job], list[SkippedCell]]:
    """Ours, the shipped INT8 on OpenVINO, NNCF's where it is installed: on one core, then on all."""
    peer = next(peer for peer in PEERS if (peer.way, peer.stage) == (NNCF, "infer"))
    jobs = []
    for threads in thread_counts():
        jobs += [Job(Cell("infer", engine, "int8", threads, TENSOR, None)) for engine in ("native", "openvino")]
        if not peer.missing():
            jobs.append(Job(peer.cell(threads, None), None, PEER_COMMAND))
    gaps = [SkippedCell(NNCF, f"not installed: pip install {' '.join(peer.missing())}")] if peer.missing() else []
    return jobs, gaps


def own_programs(
    programs: Programs, bundle: Bundle, model: Path, threads: int, repetitions: Repetitions, output: Path
) -> None:
    """Operations, and opening in C and in Python."""
    print(f"operations, opening and memory, {threads} threads", file=sys.stderr, flush=True)
    append(output, layers_of(programs, model, threads, repetitions))
    append(output, opening_in_c(programs, model, threads, repetitions))
    append(output, opening_in_python(bundle.path, threads, repetitions))


def thread_counts() -> tuple[int, ...]:
    """One core, and all that this process may use."""
    return tuple(sorted({1, available_threads()}))


def warn_of_load() -> None:
    """Say on standard error when the machine is busy: the record will show it, too."""
    load = load_average()
    if load is not None and load > QUIET_LOAD:
        print(f"warning: load average {load:.1f}; the figures will be those of a busy machine", file=sys.stderr)


def progress(number: int, count: int, name: str) -> None:
    """Say on standard error which cell is next."""
    print(f"[{number}/{count}] {name}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
