"""What the workstation commands share: they need the source checkout and its extra, and say so without them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType
from typing import Any

from cxr_edge.errors import UsageError

__all__ = ["stop_request", "workstation_module"]

STANDARD_ERROR = 2
STOPPING = b"\nstopping at the next step; again to stop at once\n"


def workstation_module(name: str) -> Any:
    """A module of ``training``, ``calibration`` or ``export``, imported now.

    Raises:
        UsageError: this is an installed wheel, or the extra ``workstation`` is missing.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] == name.partition(".")[0]:
            raise UsageError(
                "this command needs the source checkout: clone the repository and install it there with "
                "pip install -e '.[workstation]'"
            ) from error
        raise UsageError(
            f"this command needs {missing}, which is not installed: pip install -e '.[workstation]' in the checkout"
        ) from error


@contextmanager
def stop_request() -> Iterator[Callable[[], bool]]:
    """A question that answers true once SIGINT or SIGTERM has come; long work asks it where stopping is safe.

    The first SIGINT says so on standard error, the second raises KeyboardInterrupt at once. On leaving, a SIGTERM that
    came ends the process with 143; SIGINT is left to the caller's KeyboardInterrupt.
    """
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if number in received:
                raise KeyboardInterrupt
            # Not print: the signal may have come in the middle of one, which cannot be entered twice.
            with suppress(OSError):
                os.write(STANDARD_ERROR, STOPPING)
        received.append(number)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if signal.SIGTERM in received:
            raise SystemExit(128 + signal.SIGTERM)
