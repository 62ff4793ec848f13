"""A `pycuda.driver` whose GPU is the host: device memory is host memory, a stream does its work at once.

It keeps the rules that our code must keep: nothing works in a thread whose context was not pushed, and memory that was
freed cannot be used.
"""

from __future__ import annotations

import ctypes
import threading

import numpy as np


class Error(Exception):
    pass


class MemoryError(Error):  # noqa: A001  PyCUDA's own name
    pass


class LogicError(Error):
    pass


stacks = threading.local()
live: dict[int, object] = {}
"""Addresses of the device memory that is allocated now."""
next_failure: list[Exception] = []
"""An error put here is raised by the next copy."""


def require_context() -> None:
    if not getattr(stacks, "depth", 0):
        raise LogicError("cuCtx failed: invalid device context - no currently active context?")


def init(flags: int = 0) -> None:
    pass


class Context:
    def push(self) -> None:
        stacks.depth = getattr(stacks, "depth", 0) + 1

    @staticmethod
    def pop() -> None:
        require_context()
        stacks.depth -= 1


class Device:
    def __init__(self, ordinal: int) -> None:
        assert ordinal == 0

    def retain_primary_context(self) -> Context:
        return Context()


class Stream:
    def __init__(self, flags: int = 0) -> None:
        require_context()
        self.handle = id(self)

    def synchronize(self) -> None:
        require_context()
        if next_failure:
            raise next_failure[0]


class host_alloc_flags:  # noqa: N801  PyCUDA's own name
    DEVICEMAP = 2


class PagelockedHostAllocation:
    def __init__(self, shape, dtype, *, mapped: bool) -> None:
        self._memory = np.full(shape, 77, dtype)
        self._mapped = mapped
        self.__array_interface__ = self._memory.__array_interface__

    def get_device_pointer(self) -> int:
        require_context()
        assert self._mapped, "this memory was not mapped for the GPU"
        return self._memory.ctypes.data


def pagelocked_empty(shape, dtype, order: str = "C", mem_flags: int = 0) -> np.ndarray:
    require_context()
    array = np.asarray(PagelockedHostAllocation(shape, dtype, mapped=bool(mem_flags & host_alloc_flags.DEVICEMAP)))
    assert isinstance(array.base, PagelockedHostAllocation)
    return array


class DeviceAllocation:
    def __init__(self, size: int) -> None:
        self._memory = ctypes.create_string_buffer(size)
        live[int(self)] = self

    def __int__(self) -> int:
        return ctypes.addressof(self._memory)

    def free(self) -> None:
        require_context()
        del live[int(self)]


def mem_alloc(size: int) -> DeviceAllocation:
    require_context()
    return DeviceAllocation(size)


def memcpy_htod_async(dest: DeviceAllocation, src: np.ndarray, stream: Stream | None = None) -> None:
    copy(int(dest), src.ctypes.data, src)


def memcpy_dtoh_async(dest: np.ndarray, src: DeviceAllocation, stream: Stream | None = None) -> None:
    copy(dest.ctypes.data, int(src), dest)


def copy(dest: int, source: int, array: np.ndarray) -> None:
    require_context()
    if next_failure:
        raise next_failure[0]
    assert array.flags.c_contiguous
    ctypes.memmove(dest, source, array.nbytes)
