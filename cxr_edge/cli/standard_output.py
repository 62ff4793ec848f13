"""Standard output whose failures are told apart from those of every other file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from cxr_edge.errors import OutputError

__all__ = ["ReaderGoneError", "StandardOutput", "flush_standard_output"]


class ReaderGoneError(Exception):
    """Whoever read our output has stopped (``cxr-edge classify ... | head``); nothing is wrong here.

    Not a BrokenPipeError: rich would catch that and end the process with a code of its own.
    """


class StandardOutput:
    """A text stream that raises `OutputError` and `ReaderGoneError` where the stream below raises an OSError."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @classmethod
    def install(cls) -> None:
        """Put this process's standard output behind one; where it is closed there is nothing to do."""
        if sys.stdout is not None:
            sys.stdout = cast(TextIO, cls(sys.stdout))

    def write(self, text: str) -> int:
        """Write as the stream below does."""
        with self._failures():
            return self._stream.write(text)

    def flush(self) -> None:
        """Flush as the stream below does."""
        with self._failures():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._discard()
            if isinstance(error, BrokenPipeError):
                raise ReaderGoneError from error
            raise OutputError(f"cannot write to standard output: {error.strerror or type(error).__name__}") from error

    def _discard(self) -> None:
        """Send what is still buffered nowhere, or the interpreter's own flush at exit would fail once more."""
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def flush_standard_output() -> None:
    """Hand what was printed to the system now, while a failure can still become an exit code."""
    if sys.stdout is not None:
        sys.stdout.flush()
