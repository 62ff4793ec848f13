"""The CUDA driver asked directly: is there one, which GPU, how much memory is free.

TensorRT ends the process where there is no driver, so nothing of it is called before these questions are answered.
They go to libcuda by ctypes and need neither TensorRT nor PyCUDA. Names and numbers are those of ``cuda.h`` (CUDA 12
and 13).
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_edge.errors import EngineError

__all__ = ["Gpu", "find_gpu", "free_memory"]

ORDINAL = 0
"""The first GPU that this process may see; CUDA_VISIBLE_DEVICES chooses another."""

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

# CUdevice_attribute
INTEGRATED = 18
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76

KERNEL_MODULE_VERSION = Path("/sys/module/nvidia/version")
SYSTEM_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU and the driver under it.

    Attributes:
        name: as the driver gives it, such as ``"Orin"``.
        compute_capability: major and minor, such as ``(8, 7)``.
        total_memory: bytes; on an integrated GPU the system's memory.
        integrated: whether it shares the system's memory, as on Jetson.
        driver: the newest CUDA that the driver runs and, where the system tells it, the kernel module's version.
    """

    name: str
    compute_capability: tuple[int, int]
    total_memory: int
    integrated: bool
    driver: str


def find_gpu() -> Gpu:
    """The GPU that plans are built for and run on. Makes no CUDA context.

    Raises:
        EngineError: there is no driver, it does not start, or it finds no GPU.
    """
    driver = _started_driver()
    count = ctypes.c_int()
    _call(driver, "cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise EngineError("the CUDA driver finds no GPU: check CUDA_VISIBLE_DEVICES and the device's connection")
    device = _device(driver)
    name = ctypes.create_string_buffer(256)
    _call(driver, "cuDeviceGetName", name, ctypes.c_int(len(name)), device)
    total = ctypes.c_size_t()
    _call(driver, "cuDeviceTotalMem_v2", ctypes.byref(total), device)
    return Gpu(
        name=name.value.decode("utf-8", "replace"),
        compute_capability=(
            _attribute(driver, CAPABILITY_MAJOR, device),
            _attribute(driver, CAPABILITY_MINOR, device),
        ),
        total_memory=total.value,
        integrated=bool(_attribute(driver, INTEGRATED, device)),
        driver=_driver_version(driver),
    )


def free_memory(gpu: Gpu) -> int:
    """Bytes that can be allocated now.

    On an integrated GPU the driver's figure leaves out what the system would give back from its file cache, so the
    system's own estimate of available memory counts where it is larger.

    Raises:
        EngineError: the driver does not answer.
    """
    driver = _started_driver()
    device = _device(driver)
    context, previous = ctypes.c_void_p(), ctypes.c_void_p()
    _call(driver, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    try:
        _call(driver, "cuCtxPushCurrent_v2", context)
        try:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            _call(driver, "cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        finally:
            _call(driver, "cuCtxPopCurrent_v2", ctypes.byref(previous))
    finally:
        _call(driver, "cuDevicePrimaryCtxRelease_v2", device)
    return max(free.value, _available_system_memory()) if gpu.integrated else free.value


def _started_driver() -> ctypes.CDLL:
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise EngineError(
            f"there is no CUDA driver on this machine ({LIBRARY} cannot be loaded): TensorRT needs an NVIDIA GPU with "
            "its driver; use another engine here"
        ) from error
    _call(driver, "cuInit", ctypes.c_uint(0))
    return driver


def _device(driver: ctypes.CDLL) -> ctypes.c_int:
    device = ctypes.c_int()
    _call(driver, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(ORDINAL))
    return device


def _attribute(driver: ctypes.CDLL, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call(driver, "cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), device)
    return value.value


def _driver_version(driver: ctypes.CDLL) -> str:
    version = ctypes.c_int()
    _call(driver, "cuDriverGetVersion", ctypes.byref(version))
    cuda = f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"
    try:
        return f"{cuda}, module {KERNEL_MODULE_VERSION.read_text(encoding='ascii').strip()}"
    except (OSError, UnicodeDecodeError):  # the file is absent where the driver is built into the kernel
        return cuda


def _available_system_memory() -> int:
    try:
        lines = SYSTEM_MEMORY.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def _call(driver: ctypes.CDLL, name: str, *arguments: Any) -> None:
    try:
        function = getattr(driver, name)
    except AttributeError as error:
        raise EngineError(f"the CUDA driver has no {name}: it is too old; install a newer driver") from error
    status = function(*arguments)
    if status != 0:
        raise EngineError(
            f"the CUDA driver answered {_error_name(driver, status)} to {name}: check with nvidia-smi that the driver "
            "is loaded and sees the GPU"
        )


def _error_name(driver: ctypes.CDLL, status: int) -> str:
    text = ctypes.c_char_p()
    if driver.cuGetErrorName(ctypes.c_int(status), ctypes.byref(text)) != 0 or text.value is None:
        return f"error {status}"
    return f"{text.value.decode('ascii', 'replace')} ({status})"
