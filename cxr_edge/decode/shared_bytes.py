"""Memory that this process and its codec process share: a file without a name, so nothing is left when both end.

The parent reads and writes it like a file and never maps it: a codec process that a hostile image has taken over could
shrink a mapping, whose owner would die of it, or change pixels after they were checked. The child maps it and decodes
straight into it. Linux alone has such files; elsewhere the pipes carry everything (wire.py).
"""

from __future__ import annotations

import mmap
import os
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cxr_edge.decode.wire import WireError

__all__ = ["SharedBytes", "SharedFrameMemory", "SharedPair"]

KEPT_BYTES = 48 * 2**20
"""How much stays allocated between images; a larger one's memory goes back to the system."""

if sys.platform == "linux":
    import fcntl
    import resource


class SharedBytes:
    """The parent's side of one shared file.

    Attributes:
        descriptor: its number, for the child to inherit.
        size: bytes that can be read and written; those never written take no memory.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = 0

    @classmethod
    def create(cls) -> SharedBytes | None:
        """An empty file in memory; None where the system has no such thing or will not give one."""
        if sys.platform != "linux" or not hasattr(os, "memfd_create"):
            return None
        if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
            return None  # `ulimit -f` counts these files too
        try:
            descriptor = os.memfd_create("cxr-edge-frame")
            try:
                # Not 0 to 2: a parent without standard streams would get one of these, and the child's own go there.
                return cls(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3))
            finally:
                os.close(descriptor)
        except OSError:  # a container's filter forbids it, or no descriptor is left: the pipes do
            return None

    def reserve(self, size: int) -> None:
        """At least so many bytes of address range; memory is taken only for what is written."""
        if size > self.size:
            os.ftruncate(self.descriptor, size)
            self.size = size

    def write(self, data: bytes) -> None:
        """Puts data at the beginning."""
        self.reserve(len(data))
        view, position = memoryview(data), 0
        while position < len(view):
            position += os.pwrite(self.descriptor, view[position:], position)

    def read_into(self, target: memoryview) -> None:
        """Fills `target` from the beginning.

        Raises:
            WireError: the child has shrunk the file.
        """
        position = 0
        while position < len(target):
            count = os.preadv(self.descriptor, [target[position:]], position)
            if not count:
                raise WireError("the shared memory ended")
            position += count

    def release(self, used: int) -> None:
        """Gives the memory back to the system where an image used more than is worth keeping."""
        if used > KEPT_BYTES:
            os.ftruncate(self.descriptor, 0)
            self.size = 0

    def close(self) -> None:
        """Ends this side; the memory is free when the child is gone too."""
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class SharedPair:
    """Shared memory for what goes to the child and for the frame that comes back."""

    data: SharedBytes
    frame: SharedBytes

    @classmethod
    def create(cls) -> SharedPair | None:
        """Two empty shared files, or None where there are none to be had."""
        data = SharedBytes.create()
        frame = SharedBytes.create() if data else None
        if data and frame is None:
            data.close()
        return cls(data, frame) if data and frame else None

    @property
    def descriptors(self) -> tuple[int, int]:
        """Their numbers, for the child to inherit."""
        return self.data.descriptor, self.frame.descriptor

    def release(self, frame_bytes: int) -> None:
        """Gives the memory of large images back."""
        self.data.release(self.data.size)
        self.frame.release(frame_bytes)

    def close(self) -> None:
        """Ends this process's side of both."""
        self.data.close()
        self.frame.close()


class SharedFrameMemory:
    """The child's side of the file that frames are decoded into; a `FrameMemory`, of the same bytes each time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._mapped: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __call__(self, shape: tuple[int, int], dtype: DTypeLike) -> NDArray[Any]:
        """Zeros, ``[rows, columns]``, valid until the next call.

        Raises:
            MemoryError: more than this process may map, or than the parent has reserved.
        """
        size = shape[0] * shape[1] * np.dtype(dtype).itemsize
        if size > self._mapped.size:
            self._mapped = np.empty(0, np.uint8)  # unmapped first: both together might be too much
            try:
                self._mapped = np.frombuffer(mmap.mmap(self._descriptor, size), np.uint8)
            except (OSError, ValueError) as error:
                raise MemoryError from error
        frame: NDArray[Any] = self._mapped[:size].view(dtype).reshape(shape)
        frame[...] = 0
        return frame

    def take(self, pixels: NDArray[Any]) -> None:
        """Sees to it that the file begins with these pixels, which may lie in it already."""
        if pixels.flags.c_contiguous and pixels.size and self._begins_with(pixels):
            return
        apart = np.array(pixels, order="C")
        self(apart.shape, apart.dtype)[...] = apart

    def _begins_with(self, pixels: NDArray[Any]) -> bool:
        return bool(self._mapped.size) and pixels.ctypes.data == self._mapped.ctypes.data
