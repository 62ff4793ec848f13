"""One execution context with a stream and buffers of its own: what one thread at a time infers with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pycuda.driver as cuda  # type: ignore[import-not-found]
import tensorrt as trt  # type: ignore[import-not-found]

from cxr_edge.engines.base import Array, EngineOutput
from cxr_edge.engines.tensorrt.cuda_session import GpuLostError
from cxr_edge.engines.tensorrt.device_tensor import DeviceTensor
from cxr_edge.engines.tensorrt.messages import MessageLog
from cxr_edge.errors import EngineError
from cxr_edge.preprocess.cuda import CudaPreprocessor, row_stride
from cxr_edge.records import Box, Radiograph

__all__ = ["Lane", "PlanShapes"]


@dataclass(frozen=True, slots=True)
class PlanShapes:
    """Shapes that a plan computes with.

    Attributes:
        image: channels, height, width of one image.
        logit: of one image, ``(K,)``.
        cam: of one image, ``(K, h, w)``.
        smallest_batch, largest_batch: images that one run takes.
    """

    image: tuple[int, ...]
    logit: tuple[int, ...]
    cam: tuple[int, ...]
    smallest_batch: int
    largest_batch: int


class Lane:
    """Made, used and freed with the CUDA context current.

    Args:
        engine: the loaded plan.
        shapes: of the plan.
        integrated: whether the GPU shares the system's memory.
        log: TensorRT's messages.

    Raises:
        EngineError: TensorRT gives no execution context.
        pycuda.driver.Error: no memory, or the GPU failed.
    """

    def __init__(self, engine: trt.ICudaEngine, shapes: PlanShapes, *, integrated: bool, log: MessageLog) -> None:
        self._log = log
        self._shapes = shapes
        self._integrated = integrated
        self._context: trt.IExecutionContext | None = engine.create_execution_context()
        if self._context is None:
            raise EngineError(f"TensorRT gives no execution context: {log.explanation()}")
        self._stream = cuda.Stream()  # TensorRT waits for the whole device on the default stream
        largest = shapes.largest_batch
        self._image = DeviceTensor((largest, *shapes.image), np.float32, integrated=integrated)
        self._logit = DeviceTensor((largest, *shapes.logit), np.float32, integrated=integrated)
        self._cam = DeviceTensor((largest, *shapes.cam), np.float32, integrated=integrated)
        self._frame: DeviceTensor | None = None
        for name, tensor in (("image", self._image), ("logit", self._logit), ("cam", self._cam)):
            if not self._context.set_tensor_address(name, tensor.pointer):
                raise EngineError(f"TensorRT refuses the buffer of {name}: {log.explanation()}")

    def infer(self, images: Array) -> EngineOutput:
        """Outputs of at most as many images as the plan takes; fewer than it takes are filled up with blank ones."""
        count = len(images)
        batch = max(count, self._shapes.smallest_batch)
        self._image.host[:count] = images
        self._image.host[count:batch] = 0
        self._image.upload(batch, self._stream)
        return self._run(count, batch)

    def infer_radiograph(
        self, radiograph: Radiograph, preprocessor: CudaPreprocessor, crop: Box | None
    ) -> EngineOutput:
        """Outputs for stored pixels, which are preprocessed on the GPU straight into the network's input."""
        pixels = radiograph.pixels
        height, width = pixels.shape
        stride = row_stride(width, pixels.dtype)
        frame = self._frame_of(height * stride)
        rows = frame.host[: height * stride].view(pixels.dtype).reshape(height, stride // pixels.dtype.itemsize)
        rows[:, :width] = pixels
        frame.upload(height * stride, self._stream)
        handle = int(self._stream.handle)
        preprocessor.run(radiograph, frame.pointer, self._image.pointer, row_stride=stride, crop=crop, stream=handle)
        return self._run(1, self._shapes.smallest_batch)

    def free(self) -> None:
        """Give everything back: the execution context first, for it holds the addresses of the buffers."""
        self._stream.synchronize()
        self._context = None
        for tensor in (self._image, self._logit, self._cam, self._frame):
            if tensor is not None:
                tensor.free()

    def _run(self, count: int, batch: int) -> EngineOutput:
        context = self._context
        if context is None:
            raise EngineError("the engine is closed: open it again to classify")
        shapes = self._shapes
        if shapes.smallest_batch < shapes.largest_batch and not context.set_input_shape(
            "image", (batch, *shapes.image)
        ):
            raise EngineError(f"TensorRT refuses a batch of {batch}: {self._log.explanation()}")
        if not context.execute_async_v3(int(self._stream.handle)):
            raise GpuLostError(f"TensorRT could not run the plan: {self._log.explanation()}; start the process again")
        self._logit.download(count, self._stream)
        self._cam.download(count, self._stream)
        self._stream.synchronize()
        return EngineOutput(self._logit.host[:count].copy(), self._cam.host[:count].copy())

    def _frame_of(self, size: int) -> DeviceTensor:
        """The buffer for stored pixels, made larger where it is too small for this frame."""
        frame = self._frame
        if frame is None or frame.host.size < size:
            if frame is not None:
                frame.free()
                self._frame = None
            frame = DeviceTensor((size,), np.uint8, integrated=self._integrated)
            self._frame = frame
        return frame
