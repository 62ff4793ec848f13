"""A child process that decodes, seen from the parent: start, exchange, deadline, and what its end means."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np

from cxr_edge.decode.codecs import CodecRequest, Samples
from cxr_edge.decode.limits import DecodeLimits
from cxr_edge.decode.shared_bytes import SharedPair
from cxr_edge.decode.wire import WireError, read_exactly, read_head, write_message
from cxr_edge.errors import CorruptInputError, CxrEdgeError, ResourceLimitError, UnsupportedInputError, UsageError

__all__ = ["CodecProcess"]

START_TIMEOUT_S = 60.0
"""Longest start of the child; generous, because a cold disk on a small device takes many seconds."""

BOOTSTRAP = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from cxr_edge.decode.worker import main; main()"
"""`-m` would put the working directory first on the child's path, and any json.py in it would then be run."""

if sys.platform == "linux":
    import fcntl

SIGKILL = getattr(signal, "SIGKILL", 9)
SIGXCPU = getattr(signal, "SIGXCPU", 24)  # neither exists on Windows, where no exit status is negative either

ERRORS_BY_CODE = {error.code: error for error in (CorruptInputError, ResourceLimitError, UnsupportedInputError)}
LARGEST_SAMPLE_BYTES = 2
REPLY_DTYPES = ("int8", "int16", "uint8", "uint16")
MAX_MESSAGE_CHARACTERS = 500


class CodecProcess:
    """A codec child process that starts when it is first needed. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._shared: SharedPair | None = None

    @property
    def pid(self) -> int | None:
        """Process number of the child, or None when there is none."""
        process = self._process
        return process.pid if process else None

    def run(self, request: CodecRequest, data: bytes, limits: DecodeLimits) -> Samples:
        """The decoded samples.

        Raises:
            CorruptInputError: the data is damaged, or crashed the codec.
            UnsupportedInputError: a kind of image that is not read.
            ResourceLimitError: more memory or time than `limits` allow, or the system has no room for a child.
            UsageError: this program has no Python interpreter to start a child with.
            CxrEdgeError: the child ends as it starts.
        """
        with self._lock:
            process = self._running_process()
            try:
                with _Deadline(process, limits.timeout_s) as deadline:
                    _send(process, self._shared, request, data, limits)
                    reply = _receive(process, self._shared, request)
            except (WireError, OSError) as error:
                raise _failure(self._reap(), limits, timed_out=deadline.passed) from error
            except BaseException:
                self._stop()  # interrupted halfway: the child's next reply would answer the wrong question
                raise
        if isinstance(reply, CxrEdgeError):
            raise reply
        return reply

    def close(self) -> None:
        """Ends the child, if there is one; the next `run` starts another."""
        with self._lock:
            self._stop()

    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._process is None:
            self._shared = SharedPair.create()
            try:
                self._process = _start(self._shared)
            except BaseException:
                self._close_shared()
                raise
            try:
                with _Deadline(self._process, START_TIMEOUT_S):
                    read_head(_pipe(self._process.stdout))
            except (WireError, OSError) as error:
                raise CxrEdgeError(
                    f"the codec process did not start (exit status {self._reap()}); "
                    f"`{sys.executable} -m cxr_edge.decode.worker` shows why"
                ) from error
        return self._process

    def _reap(self) -> int:
        """The exit status of a child that has closed its pipes; a crash closes them a moment before it has one."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1.0)
        return self._stop()

    def _stop(self) -> int:
        process, self._process = self._process, None
        self._close_shared()
        if process is None:
            return 0
        process.kill()  # it holds no state worth a farewell
        status = process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # unsent bytes for a process that is gone
                _pipe(stream).close()
        return status

    def _close_shared(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.close()


class _Deadline:
    """Kills the child when a block takes too long. A timer thread, since pipes cannot be polled on every platform."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.passed = False
        self._process = process
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _expire(self) -> None:
        self.passed = True
        self._process.kill()


def _start(shared: SharedPair | None) -> subprocess.Popen[bytes]:
    if not sys.executable or getattr(sys, "frozen", False):
        # A frozen program's sys.executable is the program: started as a child it would run itself all over again.
        raise UsageError(
            "no codec process can start, because this program is frozen or embeds Python and so has no interpreter "
            "of its own; pass limits=DecodeLimits(isolate=False) to decode within this process"
        )
    single_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # idle pools would cost memory and start-up
    path = [str(Path(entry).resolve()) for entry in sys.path]
    descriptors = shared.descriptors if shared else ()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", BOOTSTRAP, json.dumps(path), *map(str, descriptors)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **single_thread},
            pass_fds=descriptors,
        )
    except OSError as error:  # no memory, no process or no file descriptor left
        raise ResourceLimitError(
            f"the codec process cannot start: {error.strerror}; free memory or raise the limits of this process "
            "(ulimit -n, ulimit -u)"
        ) from error
    for stream in (process.stdin, process.stdout):
        _widen(_pipe(stream))
    return process


def _pipe(stream: IO[bytes] | None) -> BinaryIO:
    return cast(BinaryIO, stream)  # never None: both are opened as pipes above


def _widen(stream: BinaryIO) -> None:
    """Asks Linux for a 1 MiB pipe buffer instead of 64 KiB: fewer switches between the processes."""
    if sys.platform == "linux" and hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # the user's quota of pipe memory is used up; only speed is lost
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, 2**20)


def _send(
    process: subprocess.Popen[bytes],
    shared: SharedPair | None,
    request: CodecRequest,
    data: bytes,
    limits: DecodeLimits,
) -> None:
    head = asdict(request) | {"timeout_s": limits.timeout_s, "memory_mb": limits.memory_mb}
    if shared is None:
        write_message(_pipe(process.stdin), head, data)
        return
    shared.data.write(data)
    shared.frame.reserve(request.max_pixels * LARGEST_SAMPLE_BYTES)
    write_message(_pipe(process.stdin), head | {"shared_bytes": len(data)})


def _receive(
    process: subprocess.Popen[bytes], shared: SharedPair | None, request: CodecRequest
) -> Samples | CxrEdgeError:
    """The child's answer, believed only as far as it is a frame within the caps or one of three errors."""
    stream = _pipe(process.stdout)
    head, size = read_head(stream)
    if "error" in head:
        return _reported_error(head)
    dtype, precision, reduction = head.get("dtype"), head.get("precision"), head.get("reduction")
    rows, columns = _positive(head.get("rows")), _positive(head.get("columns"))
    if dtype not in REPLY_DTYPES or not isinstance(precision, int) or not isinstance(reduction, int):
        raise WireError("a reply that describes no frame")
    expected = rows * columns * np.dtype(dtype).itemsize
    if rows * columns > request.max_pixels or size != (expected if shared is None else 0):
        raise WireError("a reply of another size than it says")
    pixels = np.empty((rows, columns), dtype)
    if shared is None:
        read_exactly(stream, pixels.data.cast("B"))
    else:
        shared.frame.read_into(pixels.data.cast("B"))
        shared.release(expected)
    return Samples(pixels, precision, reduction)


def _positive(value: object) -> int:
    if not isinstance(value, int) or value <= 0:
        raise WireError("a reply of no size")
    return value


def _reported_error(head: dict[str, Any]) -> CxrEdgeError:
    kind = ERRORS_BY_CODE.get(str(head["error"]))
    if kind is None:
        raise WireError("an error of unknown kind")
    return kind(str(head.get("message"))[:MAX_MESSAGE_CHARACTERS])


def _failure(status: int, limits: DecodeLimits, *, timed_out: bool) -> CxrEdgeError:
    """What the end of a child means: our deadline, its CPU limit, the system's memory killer, or a crash."""
    if timed_out or status == -SIGXCPU:
        return ResourceLimitError(f"decoding took longer than {limits.timeout_s:g} s (DecodeLimits.timeout_s)")
    if status == -SIGKILL:
        return ResourceLimitError("the codec process was killed from outside, most likely for want of memory")
    return CorruptInputError(f"the image crashed its codec ({_exit_name(status)}); the codec process is replaced")


def _exit_name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"
