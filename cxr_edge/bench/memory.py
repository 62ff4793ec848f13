"""How much memory a process holds now, and held at most."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from cxr_edge.bench.sensors import text_in

__all__ = ["Memory", "memory_of_ended_children", "memory_of_this_process"]

KIB_PER_MB = 1024
"""A megabyte is 2**20 bytes here, as in `DecodeLimits.memory_mb`."""

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes of 2**20 bytes; None where the platform does not tell.

    Attributes:
        rss_mb: resident now.
        peak_mb: the most that was resident since the process started.
        children_rss_mb: resident now in the processes that it started, the codec process above all; pages that they
            share with it count again.
    """

    rss_mb: float | None
    peak_mb: float | None
    children_rss_mb: float | None


def memory_of_this_process() -> Memory:
    """Figures of the calling process: VmRSS and VmHWM of Linux, elsewhere only the peak that POSIX counts."""
    lines = status_lines(os.getpid())
    if not lines:
        return Memory(None, _posix_peak_mb(of_children=False), None)
    children = [status_lines(child).get("VmRSS", 0.0) for child in _children()]
    return Memory(lines.get("VmRSS"), lines.get("VmHWM"), sum(children))


def memory_of_ended_children() -> Memory:
    """The peak of the largest process that this one started and that has ended."""
    return Memory(None, _posix_peak_mb(of_children=True), None)


def status_lines(process: int) -> dict[str, float]:
    """The memory lines of ``/proc/PID/status`` in megabytes; empty where there is none or the process has ended."""
    try:
        text = (PROC / str(process) / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    return {
        name: int(value.split()[0]) / KIB_PER_MB
        for name, _, value in (line.partition(":") for line in text.splitlines())
        if value.endswith(" kB")
    }


def _children() -> list[int]:
    """Process ids of the children of every thread of this process."""
    tasks = (PROC / "self" / "task").iterdir()
    return [int(process) for task in tasks for process in (text_in(task / "children") or "").split()]


def _posix_peak_mb(*, of_children: bool) -> float | None:
    try:
        import resource
    except ImportError:
        return None
    whose = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    peak = resource.getrusage(whose).ru_maxrss
    return peak / (KIB_PER_MB * 1024 if sys.platform == "darwin" else KIB_PER_MB)
