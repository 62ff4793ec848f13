"""The codec process: decodes what it is sent until its input ends. Started by isolation.py, never by hand.

It is kept light (numpy, Pillow and this package's codecs) because it starts while an image is waiting.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image

from cxr_edge.decode.codecs import CodecRequest, run_codec
from cxr_edge.decode.wire import WireError, read_exactly, read_head, write_message
from cxr_edge.errors import CxrEdgeError

__all__ = ["main"]

MEBIBYTE = 2**20


def main() -> None:
    """Serves requests from standard input on standard output until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal group; the parent decides
    requests, replies = _private_streams()
    Image.MAX_IMAGE_PIXELS = None  # our own cap is checked before Pillow opens anything
    warnings.simplefilter("ignore")
    _forbid_files()
    write_message(replies, {"ready": True})
    while True:
        try:
            head, size = read_head(requests)
        except WireError:
            return
        data = bytearray(size)
        read_exactly(requests, memoryview(data))
        _set_limits(float(head.pop("timeout_s")), int(head.pop("memory_mb")))
        _serve(replies, CodecRequest(**head), bytes(data))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes under numbers of their own, so that nothing a codec prints can end up in the protocol."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return requests, replies


def _serve(replies: BinaryIO, request: CodecRequest, data: bytes) -> None:
    try:
        samples = run_codec(request, data)
        pixels = np.ascontiguousarray(samples.pixels)
    except CxrEdgeError as error:
        write_message(replies, {"error": error.code, "message": str(error)})
        return
    head = {
        "dtype": pixels.dtype.name,
        "rows": pixels.shape[0],
        "columns": pixels.shape[1],
        "precision": samples.precision,
    }
    write_message(replies, head, pixels.data.cast("B"))


if sys.platform == "win32":

    def _forbid_files() -> None:
        """Nothing: Windows has no POSIX resource limits."""

    def _set_limits(timeout_s: float, memory_mb: int) -> None:
        """Nothing: Windows has no POSIX resource limits; the parent's clock still stops a slow codec."""

else:
    import resource

    def _forbid_files() -> None:
        """No core dump, which would hold the patient's image, and no other file is ever written."""
        for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
            resource.setrlimit(limit, (0, resource.getrlimit(limit)[1]))

    def _set_limits(timeout_s: float, memory_mb: int) -> None:
        """Soft limits for the next request; CPU time counts from the process's start, so what was used is added."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_seconds = math.ceil(used.ru_utime + used.ru_stime + timeout_s)
        _lower_soft(resource.RLIMIT_CPU, cpu_seconds)
        if sys.platform != "darwin":  # macOS refuses RLIMIT_AS
            _lower_soft(resource.RLIMIT_AS, memory_mb * MEBIBYTE)

    def _lower_soft(limit: int, value: int) -> None:
        hard = resource.getrlimit(limit)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (soft, hard))


if __name__ == "__main__":
    main()
