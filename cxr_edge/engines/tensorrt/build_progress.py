"""How far TensorRT has come with a build, and stopping it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import tensorrt as trt  # type: ignore[import-not-found]

__all__ = ["BuildProgress"]

OnProgress = Callable[[str, int, int], None]
"""Called with the name of a phase, the steps done and all its steps."""


class BuildProgress(trt.IProgressMonitor):  # type: ignore[misc]
    """Passes on the steps of the outermost phases; a build ends early once ``stop`` is set.

    TensorRT calls it from threads of its own, through code that an exception must not cross.

    Args:
        on_progress: called for each step of a phase that has no parent.
        stop: set from outside to end the build.
    """

    def __init__(self, on_progress: OnProgress, stop: threading.Event) -> None:
        trt.IProgressMonitor.__init__(self)
        self.failure: Exception | None = None
        self._on_progress = on_progress
        self._stop = stop
        self._lock = threading.Lock()
        self._steps: dict[str, int] = {}

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """Called by TensorRT when a phase begins; ``parent_phase`` is empty or None for an outermost one."""
        if parent_phase:
            return
        with self._lock:
            self._steps[phase_name] = num_steps
        self._report(phase_name, 0, num_steps)

    def step_complete(self, phase_name: str, step: int) -> bool:
        """Called by TensorRT after each step; False ends the build."""
        with self._lock:
            steps = self._steps.get(phase_name)
        if steps is not None:
            self._report(phase_name, step + 1, steps)
        return not self._stop.is_set()

    def phase_finish(self, phase_name: str) -> None:
        """Called by TensorRT when a phase ends, perhaps before its last step."""
        with self._lock:
            self._steps.pop(phase_name, None)

    def _report(self, phase: str, done: int, steps: int) -> None:
        try:
            self._on_progress(phase, done, steps)
        except Exception as error:  # raised again where the build returns; here it would end the process
            self.failure = error
            self._stop.set()
