"""A loaded plan and the lanes that run it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pycuda.driver as cuda  # type: ignore[import-not-found]
import tensorrt as trt  # type: ignore[import-not-found]

from cxr_edge.engines.base import Array, EngineOutput
from cxr_edge.engines.signature import INPUT, DeclaredTensor, check_signature
from cxr_edge.engines.tensorrt.cuda_session import GpuLostError, in_cuda
from cxr_edge.engines.tensorrt.driver import Gpu
from cxr_edge.engines.tensorrt.lane import Lane, PlanShapes
from cxr_edge.engines.tensorrt.lane_pool import LanePool
from cxr_edge.engines.tensorrt.loading import load_plan, open_runtime
from cxr_edge.engines.tensorrt.messages import MessageLog
from cxr_edge.engines.tensorrt.preflight import check_memory
from cxr_edge.errors import EngineError
from cxr_edge.preprocess import PreprocessSpec
from cxr_edge.preprocess.cuda import CudaPreprocessor
from cxr_edge.records import Box, Radiograph

__all__ = ["PlanRunner"]

MAX_LANES = 4
"""Execution contexts at once. Each holds the network's activations in GPU memory; more threads wait for a free one."""


class PlanRunner:
    """Runs one plan for any number of threads; every method may be called from any of them.

    Args:
        plan: bytes that were verified: loading them may run code that they hold.
        image_shape: channels, height and width that the bundle preprocesses to.
        outputs: logits for each image.
        gpu: where.
        host_code_allowed: whether the plan may hold code for the CPU, as version-compatible ones do.

    Raises:
        EngineError: TensorRT does not load the plan, or its shapes are not the bundle's.
        ResourceLimitError: too little memory.
    """

    def __init__(
        self, plan: bytes, image_shape: tuple[int, int, int], outputs: int, gpu: Gpu, *, host_code_allowed: bool
    ) -> None:
        self._gpu = gpu
        self._log = MessageLog()
        with in_cuda("loading the plan"):
            self._runtime: trt.Runtime | None = open_runtime(self._log, host_code_allowed=host_code_allowed)
            self._engine: trt.ICudaEngine | None = load_plan(self._runtime, plan, self._log)
            self._shapes = _shapes(self._engine, image_shape, outputs)
        self._pool: LanePool[Lane] = LanePool(self._new_lane, MAX_LANES)
        self._preprocessor: CudaPreprocessor | None = None
        self._opening = threading.Lock()

    def infer(self, images: Array) -> EngineOutput:
        """Outputs of any number of images, in runs of as many as the plan takes.

        Raises:
            EngineError: closed, or the GPU failed, now or before.
            ResourceLimitError: too little memory for another execution context.
        """
        largest = self._shapes.largest_batch
        with self._lane() as lane:
            parts = [lane.infer(images[start : start + largest]) for start in range(0, len(images), largest)]
        if len(parts) == 1:
            return parts[0]
        return EngineOutput(
            np.concatenate([part.logit for part in parts]), np.concatenate([part.cam for part in parts])
        )

    def infer_radiograph(self, radiograph: Radiograph, spec: PreprocessSpec, crop: Box | None) -> EngineOutput:
        """Outputs for one radiograph, preprocessed on the GPU.

        Raises:
            EngineError, ResourceLimitError: as `infer`, or CUDA preprocessing is not available.
            UsageError: the crop lies outside the frame.
        """
        with self._lane() as lane:
            return lane.infer_radiograph(radiograph, self._opened_preprocessor(spec), crop)

    def close(self) -> None:
        """Give back the GPU's memory once every thread has come back with its lane."""
        self._pool.refuse("the engine is closed: open it again to classify")
        lanes = self._pool.drain()
        # After a failure CUDA refuses to free: what it held goes with the process.
        with suppress(GpuLostError), in_cuda("closing the engine"):
            try:
                for lane in lanes:
                    with suppress(cuda.Error):
                        lane.free()
                if self._preprocessor is not None:
                    self._preprocessor.close()
            finally:
                lanes.clear()
                self._engine = self._runtime = None

    @contextmanager
    def _lane(self) -> Iterator[Lane]:
        try:
            with self._pool.borrowed() as lane, in_cuda("running the plan"):
                yield lane
        except GpuLostError as error:
            self._pool.refuse(f"the engine is closed because the GPU has failed: {error}")
            raise

    def _new_lane(self) -> Lane:
        engine = self._engine
        if engine is None:
            raise EngineError("the engine is closed: open it again to classify")
        check_memory(self._gpu, int(engine.device_memory_size_v2), "for an execution context: close other programs")
        with in_cuda("making an execution context"):
            return Lane(engine, self._shapes, integrated=self._gpu.integrated, log=self._log)

    def _opened_preprocessor(self, spec: PreprocessSpec) -> CudaPreprocessor:
        with self._opening:
            if self._preprocessor is None:
                self._preprocessor = CudaPreprocessor.open(spec)
            return self._preprocessor


def _shapes(engine: trt.ICudaEngine, image_shape: tuple[int, int, int], outputs: int) -> PlanShapes:
    """The plan's shapes, once they are known to be those that the bundle needs."""
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    tensors = {name: _declared(engine, name) for name in names}
    batch = tensors[INPUT].shape[0] if INPUT in tensors else None
    taken = [tensor for name, tensor in tensors.items() if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    given = [tensor for tensor in tensors.values() if tensor not in taken]
    check_signature(taken, given, image_shape, outputs, batch)
    cam = tuple(engine.get_tensor_shape("cam"))
    if min(cam[1:]) < 1:
        raise EngineError(f"the plan's cam has the shape {cam}: only its batch may be free")
    if batch is not None:
        return PlanShapes(image_shape, (outputs,), cam[1:], batch, batch)
    profile = engine.get_tensor_profile_shape(INPUT, 0)
    return PlanShapes(image_shape, (outputs,), cam[1:], profile[0][0], profile[2][0])


def _declared(engine: trt.ICudaEngine, name: str) -> DeclaredTensor:
    dtype = engine.get_tensor_dtype(name)
    shape = tuple(None if size == -1 else int(size) for size in engine.get_tensor_shape(name))
    return DeclaredTensor(name, "float32" if dtype == trt.DataType.FLOAT else str(dtype), shape)
