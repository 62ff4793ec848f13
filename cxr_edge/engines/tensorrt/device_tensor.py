"""A buffer that host and GPU share: pinned memory with a twin on the GPU, or one piece of memory where there is one."""

from __future__ import annotations

import numpy as np
import pycuda.driver as cuda  # type: ignore[import-not-found]
from numpy.typing import DTypeLike, NDArray

__all__ = ["DeviceTensor"]


class DeviceTensor:
    """Page-locked host memory and the GPU's view of it. The CUDA context must be current at every call.

    On an integrated GPU host and GPU read the same memory, so nothing is copied (zero-copy); on others the twin is
    device memory, and pinned memory lets copies run beside the CPU.

    Args:
        shape: of the largest contents; the first axis counts items.
        dtype: of an element.
        integrated: whether the GPU shares the system's memory.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, *, integrated: bool) -> None:
        flags = cuda.host_alloc_flags.DEVICEMAP if integrated else 0
        self.host: NDArray[np.generic] = cuda.pagelocked_empty(shape, dtype, mem_flags=flags)
        self._device: cuda.DeviceAllocation | None = None
        if integrated:
            pinned: cuda.PagelockedHostAllocation = self.host.base
            self.pointer = int(pinned.get_device_pointer())
        else:
            self._device = cuda.mem_alloc(self.host.nbytes)
            self.pointer = int(self._device)

    def upload(self, items: int, stream: cuda.Stream) -> None:
        """Queue the copy of the first items to the GPU."""
        if self._device is not None:
            cuda.memcpy_htod_async(self._device, self.host[:items], stream)

    def download(self, items: int, stream: cuda.Stream) -> None:
        """Queue the copy of the first items from the GPU; they may be read once the stream is synchronised."""
        if self._device is not None:
            cuda.memcpy_dtoh_async(self.host[:items], self._device, stream)

    def free(self) -> None:
        """Give back the device memory; the host memory goes with its last reference."""
        if self._device is not None:
            self._device.free()
            self._device = None
