"""What TensorRT says while it works: its errors are kept for our messages, the rest is dropped."""

from __future__ import annotations

from collections import deque

import tensorrt as trt  # type: ignore[import-not-found]

__all__ = ["MessageLog"]

KEPT = 5
"""The first errors tell the cause; what follows them are consequences."""

MAX_CHARACTERS = 300


class MessageLog(trt.ILogger):  # type: ignore[misc]
    """A logger that keeps errors. TensorRT calls it from several threads; it must outlive what it was given to."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self._errors: deque[str] = deque()

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Called by TensorRT."""
        if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR) and len(self._errors) < KEPT:
            self._errors.append(msg[:MAX_CHARACTERS])

    def explanation(self) -> str:
        """The errors since the last call, for the end of a message; a plain sentence where there were none."""
        errors = "; ".join(self._errors)
        self._errors.clear()
        return errors or "TensorRT gave no reason"
