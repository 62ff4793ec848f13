"""One cell in a process of its own: thread pools, allocators and caches of one engine never touch another's."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cxr_edge import errors
from cxr_edge.bench.environment import load_average
from cxr_edge.bench.grid import Cell
from cxr_edge.bench.measurement import Measurement
from cxr_edge.errors import CxrEdgeError, ResourceLimitError, UsageError

__all__ = ["CHILD", "CellRequest", "Plan", "measure_cell"]

CHILD = (sys.executable, "-m", "cxr_edge.bench.child")
"""The program that measures this library's cells."""

SECONDS_TO_LOAD = 900.0
"""What a child may take beyond its repetitions: a peer compiles or quantises its network first."""

LAST_WORDS = 800
"""Characters of a crashed child's standard error that are shown."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How often a cell is repeated.

    Attributes:
        repetitions: at most so many are timed.
        warm_up: so many run before, untimed.
        seconds: repetitions end after this time, but not before 3 of them.

    Raises:
        UsageError: nothing would be measured.
    """

    repetitions: int = 100
    warm_up: int = 3
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.repetitions < 1:
            raise UsageError(f"{self.repetitions} repetitions measure nothing: give at least 1")
        if self.warm_up < 0:
            raise UsageError(f"{self.warm_up} warm-up runs: give 0 or more")
        if not 0 < self.seconds < float("inf"):
            raise UsageError(f"{self.seconds} seconds for a cell: give a positive number")


@dataclass(frozen=True, slots=True)
class CellRequest:
    """What a child is asked, as JSON on its standard input.

    Attributes:
        cell: what to measure.
        plan: how often.
        round: number of the pass over the grid.
        sample: path of the input; None where the cell has none.
        bundle: directory of the bundle.
        workspace: folder that all cells of a run share, for what peers compile.
        started: `time.monotonic` when the child was started, seconds.
    """

    cell: Cell
    plan: Plan
    round: int
    sample: str | None
    bundle: str
    workspace: str
    started: float = 0.0

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> CellRequest:
        """What `to_json` wrote."""
        value = json.loads(text)
        return cls(**{**value, "cell": Cell(**value["cell"]), "plan": Plan(**value["plan"])})


def measure_cell(request: CellRequest, command: Sequence[str] = CHILD) -> Measurement:
    """The cell measured in a new process, which is gone when this returns or raises.

    Args:
        request: what to measure; its ``started`` is set here.
        command: the program that measures it.

    Raises:
        CxrEdgeError: the error that the child met, of the class that it had there; for a crash `CxrEdgeError` itself.
    """
    load = load_average()
    started = time.monotonic()
    limit = SECONDS_TO_LOAD + 3 * request.plan.seconds
    question = replace(request, started=started).to_json()
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            output, complaints = process.communicate(question, timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ResourceLimitError(f"cell '{request.cell}' did not end within {limit:.0f} s") from None
        except BaseException:  # Ctrl-C or SIGTERM end the child, too
            process.kill()
            raise
    return _reply(request, process.returncode, output, complaints, load)


def _reply(request: CellRequest, code: int, output: str, complaints: str, load: float | None) -> Measurement:
    try:
        reply: dict[str, Any] = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        raise CxrEdgeError(
            f"the process of cell '{request.cell}' ended with code {code} and no figures: {complaints[-LAST_WORDS:]}"
        ) from None
    if "error" in reply:
        raise _error_of(reply["error"])
    return replace(Measurement.from_json(reply), load_average=load)


def _error_of(reply: dict[str, str]) -> CxrEdgeError:
    kind = getattr(errors, reply["kind"], CxrEdgeError) if reply["kind"] in errors.__all__ else CxrEdgeError
    error: CxrEdgeError = kind(reply["message"])
    return error
