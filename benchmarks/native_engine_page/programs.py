"""The C and C++ programs of benchmarks/native, and what they say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cxr_edge._native as _native
from benchmarks.native_engine_page.record import Layers, Library, Opening, from_json
from cxr_edge.errors import CxrEdgeError, UsageError

__all__ = ["Programs", "Repetitions", "built", "layers_of", "library", "opening_in_c", "opening_in_python"]

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("engine_layers", "engine_process")


@dataclass(frozen=True, slots=True)
class Repetitions:
    """How often each thing is measured: inferences, and openings in one process."""

    inferences: int
    openings: int


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the built programs."""

    layers: Path
    process: Path


def built(folder: Path) -> Programs:
    """Configure and build in a folder, which is kept: the second time takes seconds.

    Raises:
        UsageError: CMake or a compiler is missing, or the build fails.
    """
    options = ("-DCMAKE_BUILD_TYPE=Release", "-DCXR_EDGE_BUILD_TESTS=ON", "-DCXR_EDGE_CUDA=OFF")
    for command in (
        ("cmake", "-S", str(ROOT), "-B", str(folder), *options),
        ("cmake", "--build", str(folder), "--parallel", str(os.cpu_count() or 1), "--target", *TARGETS),
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise UsageError("the engine's programs need CMake and a C++ compiler: install them") from None
        if done.returncode:
            raise UsageError(f"{' '.join(command[:2])} failed: {(done.stderr or done.stdout)[-800:]}")
    made = folder / "benchmarks/native"
    return Programs(made / "engine_layers", made / "engine_process")


def layers_of(programs: Programs, model: Path, threads: int, repetitions: Repetitions) -> Layers:
    """Where the time goes with the fastest kernel; half of the inferences are timed as a whole.

    Raises:
        CxrEdgeError: the program failed.
    """
    kernel = _native.kernels()[-1]
    command = (str(programs.layers), str(model), kernel, str(threads), str(max(4, 2 * repetitions.inferences)))
    return from_json(Layers, output_of(command))


def opening_in_c(programs: Programs, model: Path, threads: int, repetitions: Repetitions) -> Opening:
    """What a C program pays: openings, inferences; resident memory of a process that opened once.

    Raises:
        CxrEdgeError: the program failed.
    """
    inferences = str(repetitions.inferences)
    program = (str(programs.process), str(model), str(threads))
    often = output_of((*program, str(repetitions.openings), inferences))
    once = output_of((*program, "1", inferences))
    rss = once["rss_mb"] if once["rss_mb"] > 0 else None
    return from_json(Opening, {**often, "program": "C", "rss_mb": rss})


def opening_in_python(bundle: Path, threads: int, repetitions: Repetitions) -> Opening:
    """What a Python program pays that has opened the bundle.

    Raises:
        CxrEdgeError: the process failed.
    """
    module = "benchmarks.native_engine_page.opening"
    counts = (str(threads), str(repetitions.openings), str(repetitions.inferences))
    return from_json(Opening, output_of((sys.executable, "-m", module, str(bundle), *counts)))


def library() -> Library:
    """The size of the installed extension, and of a copy without symbols."""
    path = Path(str(_native.__file__))
    return Library(path.stat().st_size, stripped_bytes(path))


def stripped_bytes(path: Path) -> int | None:
    """Bytes of a copy without symbols; None where there is no ``strip``."""
    if shutil.which("strip") is None:
        return None
    with tempfile.TemporaryDirectory(prefix="cxr-edge-strip-") as folder:
        copy = Path(folder) / path.name
        subprocess.run(("strip", "-o", str(copy), str(path)), capture_output=True, check=True)
        return copy.stat().st_size


def output_of(command: Sequence[str]) -> dict[str, Any]:
    """The JSON object that a program printed.

    Raises:
        CxrEdgeError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CxrEdgeError(f"{Path(command[0]).name} ended with code {done.returncode}: {done.stderr[-400:]}")
    value: dict[str, Any] = json.loads(done.stdout)
    return value
