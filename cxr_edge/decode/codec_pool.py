"""As many codec processes as there are cores, each started only when all before it are busy."""

from __future__ import annotations

import os
import threading

from cxr_edge.decode.codec_process import CodecProcess
from cxr_edge.decode.codecs import CodecRequest, Samples
from cxr_edge.decode.limits import DecodeLimits

__all__ = ["CodecPool", "usable_cores"]


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CodecPool:
    """Codec processes for several images at once. Safe to use from several threads.

    Args:
        size: most processes at a time; None means one per usable core. A caller with one thread only ever starts one.
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = size or usable_cores()
        self._idle: list[CodecProcess] = []
        self._all: list[CodecProcess] = []
        self._returned = threading.Condition()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process numbers of the children there are, in the order of their places."""
        return tuple(process.pid for process in self._all if process.pid is not None)

    def run(self, request: CodecRequest, data: bytes, limits: DecodeLimits) -> Samples:
        """The decoded samples, from whichever process is free, or the first that becomes so. See `CodecProcess.run`."""
        process = self._taken()
        try:
            return process.run(request, data, limits)
        finally:
            with self._returned:
                self._idle.append(process)
                self._returned.notify()

    def close(self) -> None:
        """Ends the children; the next `run` starts another."""
        for process in self._all:
            process.close()

    def _taken(self) -> CodecProcess:
        with self._returned:
            while not self._idle and len(self._all) >= self._size:
                self._returned.wait()
            if not self._idle:
                self._all.append(CodecProcess())
                return self._all[-1]
            return self._idle.pop()  # the one used last: it runs, and its memory is warm
