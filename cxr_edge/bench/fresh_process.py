"""What a process costs that does one thing and ends: importing the package, classifying one file from a shell."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from cxr_edge.bench.cell import CellRequest
from cxr_edge.bench.memory import memory_of_ended_children
from cxr_edge.bench.workload import Repetition, Workload
from cxr_edge.bundle import open_bundle
from cxr_edge.errors import CxrEdgeError, UsageError

__all__ = ["prepare_import", "prepare_one_shot"]

IMPORT = "import time; began = time.perf_counter(); import cxr_edge; print((time.perf_counter() - began) * 1000)"
COMMAND = "from cxr_edge.cli import main; main()"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def prepare_import(request: CellRequest) -> Workload:
    """``import cxr_edge`` in a fresh interpreter; the interpreter's own start is not in the figure."""

    def run() -> Repetition:
        return Repetition(float(_output([sys.executable, "-c", IMPORT], dict(os.environ))))

    return Workload(run, memory=memory_of_ended_children)


def prepare_one_shot(request: CellRequest) -> Workload:
    """``cxr-edge classify FILE --json``, from starting the process until it has ended."""
    cell = request.cell
    if request.sample is None or cell.engine is None or cell.precision is None:
        raise UsageError(f"cell '{cell}' needs an input, an engine and a precision")
    options = ("--json", "--bundle", request.bundle, "--engine", cell.engine, "--precision", cell.precision)
    command = [sys.executable, "-c", COMMAND, "classify", request.sample, *options, "--threads", str(cell.threads)]
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(cell.threads))}
    bundle = open_bundle(request.bundle)

    def run() -> Repetition:
        started = time.perf_counter_ns()
        _output(command, environment)
        return Repetition((time.perf_counter_ns() - started) / 1e6)

    size = bundle.manifest.files[bundle.manifest.models[cell.precision].file].size
    return Workload(run, model_bytes=size, memory=memory_of_ended_children)


def _output(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise CxrEdgeError(f"the process ended with code {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout
