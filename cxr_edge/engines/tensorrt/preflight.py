"""Checks before the first call of TensorRT, which crashes the process where they do not hold."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import re
import sys
from dataclasses import dataclass

from cxr_edge.engines.tensorrt.driver import Gpu, find_gpu, free_memory
from cxr_edge.errors import EngineError, ResourceLimitError

__all__ = ["REQUIREMENT", "Machine", "check_machine", "check_memory", "check_pycuda", "not_installed"]

REQUIREMENT = "cxr-edge[tensorrt]"
OLDEST, FIRST_UNKNOWN = (10, 3), (12, 0)
"""TensorRT from the first version up to the second, which is the first that this version does not know."""

OLDEST_CAPABILITY = (7, 5)
"""Turing: the oldest GPUs that TensorRT 11 and the current CUDA compiler know; the first with INT8 tensor cores."""

MEMORY_MARGIN = 64 << 20
"""Bytes to leave for the CUDA context's own growth and for other processes."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine builds and runs plans with.

    Attributes:
        gpu: the GPU and its driver.
        tensorrt: version of TensorRT, such as ``"10.3.0"``.
    """

    gpu: Gpu
    tensorrt: str


def not_installed() -> str | None:
    """Why TensorRT cannot be imported here; None where it is installed. Nothing is imported."""
    if importlib.util.find_spec("tensorrt") is not None:
        return None
    if importlib.util.find_spec("tensorrt_lean") is not None:
        return "only TensorRT's lean runtime is installed, which has no builder: install the full tensorrt package"
    return f"TensorRT is not installed: pip install '{REQUIREMENT}', or use the one that comes with JetPack"


def check_machine() -> Machine:
    """The machine, once driver, GPU, bindings and library are known to fit each other.

    Raises:
        EngineError: TensorRT is not installed or only its lean runtime, there is no driver or no GPU, the GPU is too
            old, the library is missing or of another version than the bindings, or the version is not supported.
    """
    reason = not_installed()
    if reason is not None:
        raise EngineError(reason)
    gpu = find_gpu()
    if gpu.compute_capability < OLDEST_CAPABILITY:
        raise EngineError(
            f"GPU {gpu.name} has compute capability {_dotted(gpu.compute_capability)}; "
            f"{_dotted(OLDEST_CAPABILITY)} or newer is needed"
        )
    return Machine(gpu, _checked_tensorrt())


def check_pycuda() -> None:
    """Check that PyCUDA, which moves data to the GPU, can be imported.

    Raises:
        EngineError: it is missing or does not load.
    """
    try:
        importlib.import_module("pycuda.driver")
    except ImportError as error:
        raise EngineError(f"PyCUDA does not load ({error}): pip install '{REQUIREMENT}'") from error


def check_memory(gpu: Gpu, needed: int, purpose: str) -> None:
    """Check that so many bytes can be allocated, before TensorRT tries.

    Args:
        gpu: where.
        needed: bytes.
        purpose: what for, ending the message: ``"to build the plan: ..."``.

    Raises:
        ResourceLimitError: less is free.
        EngineError: the driver does not answer.
    """
    free = free_memory(gpu)
    if free < needed + MEMORY_MARGIN:
        raise ResourceLimitError(
            f"GPU {gpu.name} has {free >> 20} MiB of memory free, {(needed + MEMORY_MARGIN) >> 20} MiB are needed "
            f"{purpose}"
        )


def _checked_tensorrt() -> str:
    """The version of the bindings, once the library beside them is of the same one."""
    try:
        version = str(importlib.import_module("tensorrt").__version__)
    except (ImportError, OSError, AttributeError) as error:
        raise EngineError(
            f"TensorRT is installed but does not load: {error}; its Python package and its libraries must be of the "
            "same version"
        ) from error
    match = re.match(r"(\d+)\.(\d+)", version)
    if match is None:
        raise EngineError(f"TensorRT says that its version is {version!r}, which this version cannot read")
    numbers = (int(match[1]), int(match[2]))
    if not OLDEST <= numbers < FIRST_UNKNOWN:
        raise EngineError(
            f"TensorRT {version} is installed; {_dotted(OLDEST)} or newer, before {FIRST_UNKNOWN[0]}, is needed"
        )
    loaded = _library_version(numbers[0])
    if loaded[:2] != numbers:
        raise EngineError(
            f"TensorRT's Python package is {version}, but its library is {_dotted(loaded)}: install the same version "
            "of both"
        )
    return version


def _library_version(major: int) -> tuple[int, int, int]:
    """Major, minor and patch of the libnvinfer in this process; the function that tells them needs no driver."""
    name = _library_name(major)
    try:
        number = int(ctypes.CDLL(name).getInferLibVersion())
    except (OSError, AttributeError) as error:
        raise EngineError(f"TensorRT's library {name} does not load or has no version: {error}") from error
    # NV_TENSORRT_VERSION since TensorRT 10: major * 10000 + minor * 100 + patch.
    return number // 10_000, number // 100 % 100, number % 100


def _library_name(major: int) -> str:
    return f"nvinfer_{major}.dll" if sys.platform == "win32" else f"libnvinfer.so.{major}"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
