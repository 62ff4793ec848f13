"""The TensorRT engine: finds the plan that was built for this device, verifies it, and runs it. It never builds one."""

from __future__ import annotations

from cxr_edge.bundle import Bundle
from cxr_edge.engines.base import Array, Engine, EngineDescription, EngineOptions, EngineOutput, check_output
from cxr_edge.engines.tensorrt.plan_header import check_header
from cxr_edge.engines.tensorrt.plan_key import target_of
from cxr_edge.engines.tensorrt.plan_record import PlanRecord
from cxr_edge.engines.tensorrt.plan_store import PlanStore, default_directory
from cxr_edge.engines.tensorrt.preflight import Machine, check_machine, check_memory, check_pycuda
from cxr_edge.errors import EngineError, ResourceLimitError
from cxr_edge.preprocess import cuda
from cxr_edge.records import Box, Radiograph

__all__ = ["TensorRTEngine"]

MAX_FRAME_BYTES = 512 << 20
"""Largest frame that is sent to the GPU as it is: pinned memory cannot be swapped out, so its size is bounded."""

COMPUTED_AS = {
    "fp32": "fp32 stored, fp32 computed",
    "fp16": "fp16 stored, fp16 computed",
    "int8-fp16": "int8 stored, int8 convolutions, fp16 elsewhere",
}


class TensorRTEngine(Engine):
    """One plan on the first GPU that the process sees.

    Thread-safety: each thread infers with an execution context, stream and buffers of its own; after the fourth at
    once they wait for each other.

    Raises:
        EngineError: TensorRT, PyCUDA, the driver or the GPU is missing or does not fit; there is no plan, or it is
            stale, damaged or not the bundle's: the message says which field changed and names `cxr-edge build`.
        ResourceLimitError: too little memory is free on the GPU.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions) -> None:
        super().__init__(bundle, options)
        self._spec = bundle.manifest.preprocess
        self._machine = check_machine()
        record, plan = _verified_plan(bundle, options.precision, self._machine)
        check_pycuda()
        check_memory(self._machine.gpu, record.size + record.device_memory, "to load the plan: close other programs")
        from cxr_edge.engines.tensorrt.runner import PlanRunner  # imports TensorRT and PyCUDA, checked by now

        self._runner = PlanRunner(
            plan,
            self._image_shape,
            self._outputs,
            self._machine.gpu,
            host_code_allowed=record.key.options.version_compatible,
        )

    def describe(self) -> EngineDescription:
        """What really runs."""
        return EngineDescription(
            name="tensorrt",
            precision=self.options.precision,
            device=self.options.device,
            runtime_version=self._machine.tensorrt,
            computed_as=COMPUTED_AS[self.options.precision],
            threads=0,
        )

    def preprocesses(self) -> bool:
        """Whether `infer_radiograph` works here: CUDA preprocessing is part of the installation and runs."""
        return cuda.unavailable_reason() is None

    def infer_radiograph(self, radiograph: Radiograph, crop: Box | None = None) -> EngineOutput:
        """Logits and maps of one radiograph, preprocessed on the GPU with the same bits as everywhere else.

        Args:
            radiograph: stored pixels; copied once, to pinned memory, and not changed.
            crop: part of the frame to show, in stored pixels; None means all of it.

        Raises:
            EngineError: closed, CUDA preprocessing is not available, or the GPU failed.
            ResourceLimitError: a frame of more than 512 MiB, or too little memory.
            UsageError: the crop lies outside the frame.
        """
        if self._closed:
            raise EngineError("the engine is closed: open it again to classify")
        if radiograph.pixels.nbytes > MAX_FRAME_BYTES:
            raise ResourceLimitError(
                f"a frame of {radiograph.pixels.nbytes >> 20} MiB is too large for the GPU's buffer; at most "
                f"{MAX_FRAME_BYTES >> 20} MiB are sent"
            )
        output = self._runner.infer_radiograph(radiograph, self._spec, crop)
        check_output(output, (1, self._outputs))
        return output

    def _infer(self, images: Array) -> EngineOutput:
        return self._runner.infer(images)

    def _release(self) -> None:
        self._runner.close()


def _verified_plan(bundle: Bundle, precision: str, machine: Machine) -> tuple[PlanRecord, bytes]:
    """The plan that fits bundle and machine, with its bytes checked against its record."""
    store = PlanStore(default_directory())
    lookup = store.find(target_of(bundle, precision, machine), bundle.manifest.name)
    problem = lookup.problem(precision)
    if problem is not None or lookup.record is None:
        raise EngineError(str(problem))
    plan = store.load(lookup.record)
    check_header(plan, machine.tensorrt)
    return lookup.record, plan
