"""The CUDA context that everything here works in, and what CUDA's errors mean to a caller.

PyCUDA keeps a stack of contexts for each thread: a thread pushes the context before it works and pops it afterwards.
The context is the device's primary one, which TensorRT and the preprocessing kernels use as well.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pycuda.driver as cuda  # type: ignore[import-not-found]

from cxr_edge.engines.tensorrt.driver import ORDINAL
from cxr_edge.errors import EngineError, ResourceLimitError

__all__ = ["GpuLostError", "in_cuda"]


class GpuLostError(EngineError):
    """CUDA failed in a way that may leave its context unusable: the engine must not be used again."""


@functools.lru_cache(maxsize=1)
def primary_context() -> cuda.Context:
    """The primary context of the GPU, kept until the process ends.

    Raises:
        pycuda.driver.Error: the driver refuses.
    """
    cuda.init()
    device = cuda.Device(ORDINAL)
    return device.retain_primary_context()


@contextmanager
def in_cuda(purpose: str) -> Iterator[None]:
    """Run the block with the primary context current in this thread.

    Args:
        purpose: what the block does, for messages: ``"running the plan"``.

    Raises:
        ResourceLimitError: the GPU's memory does not suffice.
        GpuLostError: any other failure of CUDA. Many of them ("sticky" ones, such as an illegal address) make every
            later call fail; which are is not told, so all are treated alike.
    """
    try:
        context: cuda.Context = primary_context()
        context.push()
        try:
            yield
        finally:
            cuda.Context.pop()
    except cuda.MemoryError as error:
        raise ResourceLimitError(f"the GPU has too little memory for {purpose}: {error}") from error
    except cuda.Error as error:
        raise GpuLostError(f"CUDA failed while {purpose}: {error}; start the process again") from error
