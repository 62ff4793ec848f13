"""What a cell repeats, and how a repetition is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cxr_edge.bench.memory import Memory, memory_of_this_process

__all__ = ["Repetition", "Workload", "timed"]


@dataclass(frozen=True, slots=True)
class Repetition:
    """One repetition: its wall time in milliseconds, and that of the stages within it where the work tells them."""

    ms: float
    stages_ms: Mapping[str, float] = field(default_factory=dict)


def _nothing_to_close() -> None:
    """Most workloads hold only memory."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Work that is ready to be repeated.

    Attributes:
        run: does it once; may be called from several threads at once where the cell has several streams.
        images: images of one repetition.
        load_ms: how long loading the model took; None where there is none.
        model_bytes: size of the model's file; None where there is none.
        computed_by: what really computes, with its version, such as ``"onnxruntime 1.32.0, fp32 stored"``.
        on_gpu: a GPU computes, whose power and clock are then the ones to tell.
        close: gives back what it holds.
        memory: figures of the process that does the work, asked after the repetitions.
    """

    run: Callable[[], Repetition]
    images: int = 1
    load_ms: float | None = None
    model_bytes: int | None = None
    computed_by: str | None = None
    on_gpu: bool = False
    close: Callable[[], None] = _nothing_to_close
    memory: Callable[[], Memory] = memory_of_this_process


def timed(call: Callable[[], object]) -> Callable[[], Repetition]:
    """The call as a repetition, timed by the clock with the finest steps."""

    def run() -> Repetition:
        started = time.perf_counter_ns()
        call()
        return Repetition((time.perf_counter_ns() - started) / 1e6)

    return run
