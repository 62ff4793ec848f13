"""The codec process: decodes what it is sent until its input ends. Started by isolation.py, never by hand.

It is kept light (numpy, Pillow and this package's codecs) because it starts while an image is waiting.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import warnings
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_edge.decode.codecs import CodecRequest, run_codec
from cxr_edge.decode.frame_memory import private_memory
from cxr_edge.decode.shared_bytes import SharedFrameMemory
from cxr_edge.decode.wire import WireError, read_exactly, read_head, write_message
from cxr_edge.errors import CxrEdgeError, ResourceLimitError

__all__ = ["main"]

MEBIBYTE = 2**20


def main() -> None:
    """Serves requests until the input ends. Arguments, after the search path: the descriptors of shared memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal group; the parent decides
    channel = _Channel.open(sys.argv[2:])
    Image.MAX_IMAGE_PIXELS = None  # our own cap is checked before Pillow opens anything
    warnings.simplefilter("ignore")
    _forbid_files()
    write_message(channel.replies, {"ready": True})
    while True:
        try:
            head, data = channel.receive()
        except WireError:
            return
        _set_limits(float(head.pop("timeout_s")), int(head.pop("memory_mb")))
        channel.serve(CodecRequest(**head), data)


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes under numbers of their own, so that nothing a codec prints can end up in the protocol."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return requests, replies


@dataclass(frozen=True, slots=True)
class _Channel:
    """How image data comes and goes: through shared memory where the parent has any, else with the messages.

    Attributes:
        requests, replies: the pipes.
        data: descriptor of the shared file that holds a request's data, or None.
        frame: shared memory for the decoded frame, or None.
    """

    requests: BinaryIO
    replies: BinaryIO
    data: int | None
    frame: SharedFrameMemory | None

    @classmethod
    def open(cls, descriptors: list[str]) -> _Channel:
        requests, replies = _private_streams()
        if not descriptors:
            return cls(requests, replies, None, None)
        data, frame = map(int, descriptors)
        return cls(requests, replies, data, SharedFrameMemory(frame))

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """The next request's head and its data.

        Raises:
            WireError: there is none: the parent is gone.
        """
        head, size = read_head(self.requests)
        if self.data is None:
            data = bytearray(size)
            read_exactly(self.requests, memoryview(data))
            return head, bytes(data)
        size = int(head.pop("shared_bytes"))
        content = os.pread(self.data, size, 0)
        if len(content) < size:
            raise WireError("the shared memory ended")
        return head, content

    def serve(self, request: CodecRequest, data: bytes) -> None:
        """Decodes and sends what comes of it."""
        try:
            samples = run_codec(request, data, self.frame or private_memory)
            body = self._body(samples.pixels)
        except MemoryError:
            error = ResourceLimitError("the frame needs more memory than it may take (DecodeLimits.memory_mb)")
            write_message(self.replies, {"error": error.code, "message": str(error)})
        except CxrEdgeError as error:
            write_message(self.replies, {"error": error.code, "message": str(error)})
        else:
            head = {
                "dtype": samples.pixels.dtype.name,
                "rows": samples.pixels.shape[0],
                "columns": samples.pixels.shape[1],
                "precision": samples.precision,
                "reduction": samples.reduction,
            }
            write_message(self.replies, head, body)

    def _body(self, pixels: NDArray[Any]) -> memoryview:
        """What goes with the message: the pixels, or nothing where the shared memory holds them."""
        if self.frame is None:
            return np.ascontiguousarray(pixels).data.cast("B")
        self.frame.take(pixels)
        return memoryview(b"")


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
