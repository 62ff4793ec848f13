"""Plan bytes -> TensorRT's engine object. The bytes must have been verified: loading them may run code in them."""

from __future__ import annotations

import tensorrt as trt  # type: ignore[import-not-found]

from cxr_edge.engines.tensorrt.messages import MessageLog
from cxr_edge.errors import EngineError

__all__ = ["load_plan", "open_runtime"]


def open_runtime(log: MessageLog, *, host_code_allowed: bool) -> trt.Runtime:
    """TensorRT's runtime.

    Args:
        log: gets its messages; must outlive it.
        host_code_allowed: whether plans may hold code for the CPU, as version-compatible ones do.

    Raises:
        EngineError: TensorRT gives none.
    """
    try:
        runtime = trt.Runtime(log)
    except TypeError as error:  # how the bindings report a factory that returned nothing
        raise EngineError(f"TensorRT gives no runtime: {log.explanation()}") from error
    runtime.engine_host_code_allowed = host_code_allowed
    return runtime


def load_plan(runtime: trt.Runtime, plan: bytes, log: MessageLog) -> trt.ICudaEngine:
    """The engine of a plan.

    Raises:
        EngineError: TensorRT refuses the plan.
    """
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(f"TensorRT does not load the plan: {log.explanation()}")
    return engine
