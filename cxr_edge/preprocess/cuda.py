"""Preprocessing on an NVIDIA GPU: the reference's bits, from memory that the GPU reads into the network's input tensor.

For engines that keep their tensors on the GPU. They own the memory and the stream; this module queues one kernel.
How the kernel works, and on which GPUs it has run, stands in docs/gpu.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from cxr_edge.errors import EngineError, ResourceLimitError, UsageError
from cxr_edge.preprocess.native import MAX_SIDE
from cxr_edge.preprocess.spec import PreprocessSpec, linear_map
from cxr_edge.records import Box, Radiograph

try:
    import cxr_edge._native as _native
except ModuleNotFoundError:  # installed without a compiler
    _native = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from cxr_edge._native import CudaPreprocess

__all__ = ["CudaPreprocessor", "build", "row_stride", "unavailable_reason"]

LOAD_BYTES = 16
"""The kernel's widest load; rows that begin at multiples of it are read fastest."""

PIXEL_TYPES = {np.dtype(np.uint8): 0, np.dtype(np.uint16): 1, np.dtype(np.int8): 2, np.dtype(np.int16): 3}
"""Numbers of ``cxr_edge_pixel_type`` in cxr_edge.h."""


def build() -> str:
    """What the extension was built with, such as ``"CUDA 13.0, sm_75 sm_90 compute_90"``; empty without CUDA."""
    return str(getattr(_native, "CUDA_BUILD", ""))


def unavailable_reason() -> str | None:
    """Why no GPU can be used here, one sentence with what to do; None where one can.

    Makes no CUDA context; a GPU that this build has no code for is found out by `CudaPreprocessor.open`.
    """
    extension: Any = _native
    if extension is None:
        return "the native extension is not part of this installation; install a C++17 compiler and reinstall cxr-edge"
    if not hasattr(extension, "cuda_unavailable_reason"):
        return "the native extension is older than this version's Python code; reinstall cxr-edge"
    reason: str | None = extension.cuda_unavailable_reason()
    if reason is not None and not build():
        return f"{reason}; install CUDA's nvcc (12.0 or newer) and reinstall cxr-edge"
    return reason


def row_stride(width: int, dtype: DTypeLike) -> int:
    """Bytes from row to row that the kernel reads fastest: `width` pixels rounded up to a multiple of 16 bytes."""
    return -(-width * np.dtype(dtype).itemsize // LOAD_BYTES) * LOAD_BYTES


@dataclass(slots=True)
class CudaPreprocessor:
    """Preprocessing on one GPU, without memory of its own; nothing is allocated after `open`.

    Works in the CUDA context that is current in the calling thread, such as PyCUDA's retained primary context, and
    never changes it. Several threads may use one preprocessor, each with a context of the same device current.

    Attributes:
        spec: output size and normalisation.
        max_height, max_width: largest frame that `run` takes, pixels.
    """

    spec: PreprocessSpec
    max_height: int
    max_width: int
    _opened: CudaPreprocess | None = field(repr=False)

    @classmethod
    def open(cls, spec: PreprocessSpec, max_height: int = MAX_SIDE, max_width: int = MAX_SIDE) -> CudaPreprocessor:
        """A preprocessor on the thread's current device, with every kernel loaded.

        Args:
            spec: output size and normalisation.
            max_height: rows of the largest frame that will come.
            max_width: columns of it.

        Raises:
            EngineError: no extension, no CUDA in it, no driver, no GPU, or none that this build has code for.
        """
        reason = unavailable_reason()
        if reason is not None:
            raise EngineError(f"preprocessing on a GPU can't run here: {reason}")
        try:
            return cls(spec, max_height, max_width, _native.CudaPreprocess())
        except RuntimeError as error:
            raise EngineError(f"preprocessing on the GPU could not be opened: {error}; built with {build()}") from error

    @property
    def device(self) -> int:
        """Ordinal of the GPU.

        Raises:
            EngineError: closed.
        """
        return self._require_open().device

    @property
    def output_bytes(self) -> int:
        """Size of one output, bytes: ``[spec.height, spec.width]`` float32."""
        return self.spec.height * self.spec.width * 4

    def frame_bytes(self, dtype: DTypeLike) -> int:
        """Size of a buffer that holds the largest frame of a pixel type with rows at `row_stride`, bytes."""
        return self.max_height * row_stride(self.max_width, dtype)

    def run(
        self,
        radiograph: Radiograph,
        frame_pointer: int,
        out_pointer: int,
        *,
        row_stride: int | None = None,
        crop: Box | None = None,
        stream: int = 0,
    ) -> None:
        """Queues the work for one radiograph on a stream and returns.

        The frame must stay as it is until the stream has done the work. An error while it runs shows where the caller
        synchronises.

        Args:
            radiograph: says shape and type of the frame, and its window, polarity and padding. Its own pixels, in
                host memory, are not read: the caller has copied them to `frame_pointer`.
            frame_pointer: address of the pixels: device memory, or pinned host memory that is mapped (host or device
                address). ``row_stride * height`` bytes of it must be readable.
            out_pointer: address of float32 ``[spec.height, spec.width]`` in device memory, such as the engine's input
                tensor.
            row_stride: bytes from row to row, a multiple of the pixel's size; None: rows without gaps.
            crop: part of the frame to show, in stored pixels; clipped to the frame; None means all of it.
            stream: a CUstream as an integer; 0 is the context's default stream.

        Raises:
            UsageError: the crop lies outside the frame, a stride shorter than a row, or an address that the GPU can't
                reach.
            ResourceLimitError: the frame is larger than said when opening, or its part a side above 65,535 pixels.
            EngineError: closed, another device is current, or CUDA reports an error.
        """
        opened = self._require_open()
        box = self._box(radiograph, crop)
        mapping = linear_map(radiograph, self.spec, box)
        tight = radiograph.width * radiograph.pixels.itemsize
        try:
            opened.run(
                frame_pointer,
                PIXEL_TYPES[radiograph.pixels.dtype],
                (radiograph.height, radiograph.width),
                tight if row_stride is None else row_stride,
                (box.top, box.left, box.height, box.width),
                (radiograph.window.lo, radiograph.window.hi),
                radiograph.padding,
                radiograph.inverted,
                (mapping.scale, mapping.offset),
                out_pointer,
                (self.spec.height, self.spec.width),
                stream,
            )
        except (ValueError, TypeError) as error:  # TypeError: a number that is negative or too large for its place
            raise UsageError(f"preprocessing on the GPU was called wrongly: {error}") from error
        except RuntimeError as error:
            raise EngineError(f"preprocessing on GPU {opened.device} failed: {error}") from error

    def close(self) -> None:
        """Lets go of the handle; allowed more than once. Work that is queued goes on."""
        self._opened = None

    def __enter__(self) -> CudaPreprocessor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _require_open(self) -> CudaPreprocess:
        if self._opened is None:
            raise EngineError("preprocessing on the GPU is closed; open it again")
        return self._opened

    def _box(self, radiograph: Radiograph, crop: Box | None) -> Box:
        """The part of the frame to resample, checked against the limits."""
        height, width = radiograph.height, radiograph.width
        if height > self.max_height or width > self.max_width:
            raise ResourceLimitError(
                f"a {height}x{width} frame exceeds the {self.max_height}x{self.max_width} that GPU preprocessing was "
                "opened for; open it for larger frames"
            )
        box = (crop or Box(0, 0, height, width)).clipped(height, width)
        if max(box.height, box.width) > MAX_SIDE:
            raise ResourceLimitError(
                f"{box.height}x{box.width} pixels are too many: preprocessing takes up to {MAX_SIDE} a side; crop it"
            )
        return box
