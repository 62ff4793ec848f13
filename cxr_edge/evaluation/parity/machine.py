"""The machine that a measurement was made on, as far as its figures depend on it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import cxr_edge
from cxr_edge.preprocess import implementation

__all__ = ["Machine", "this_machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Versions of this library and of Python, operating system, processor, and which preprocessing ran."""

    cxr_edge: str
    python: str
    platform: str
    processor: str
    preprocessing: str


def this_machine() -> Machine:
    """The machine that this runs on."""
    return Machine(
        cxr_edge=cxr_edge.__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        preprocessing=implementation(),
    )


def _processor() -> str:
    """The processor's name where Linux tells it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
