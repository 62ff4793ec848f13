"""ONNX Runtime on the CPU. The only module that imports it."""

from __future__ import annotations

from typing import Any

import onnxruntime

from cxr_edge.bundle import Bundle
from cxr_edge.engines.base import Array, Engine, EngineDescription, EngineOptions, EngineOutput
from cxr_edge.errors import EngineError

__all__ = ["OnnxRuntimeEngine"]

PROVIDER = "CPUExecutionProvider"
INPUTS = {"image"}
OUTPUTS = ("logit", "cam")

# The CPU provider has no FP16 convolutions: it casts to FP32 around them (runtimes differ here, so results say it).
COMPUTED_AS = {
    "fp32": "fp32 stored, fp32 computed",
    "fp16": "fp16 stored, fp32 computed",
    "int8": "int8 stored, int8 convolutions, fp32 elsewhere",
    "int8-fp16": "int8 stored, int8 convolutions, fp32 elsewhere",
}


class OnnxRuntimeEngine(Engine):
    """One session on the CPU provider.

    Thread-safety: ``InferenceSession.run`` may be called from any number of threads; all share one thread pool, and
    each gets the bits that it would get alone.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions) -> None:
        super().__init__(bundle, options)
        self._session: Any = _session(bundle.model_bytes(options.precision), options)
        self._check_signature()

    def describe(self) -> EngineDescription:
        """What really runs."""
        return EngineDescription(
            name="onnxruntime",
            precision=self.options.precision,
            device=self.options.device,
            runtime_version=onnxruntime.__version__,
            computed_as=COMPUTED_AS[self.options.precision],
            threads=self.options.threads,
        )

    def _infer(self, images: Array) -> EngineOutput:
        session = self._session
        if session is None:  # closed by another thread since `infer` looked
            raise EngineError("the engine is closed: open it again to classify")
        try:
            logit, cam = session.run(OUTPUTS, {"image": images})
        except Exception as error:  # its exception classes share no base
            raise EngineError(f"onnxruntime failed on a batch of {len(images)}: {error}") from error
        return EngineOutput(logit, cam)

    def _release(self) -> None:
        self._session = None

    def _check_signature(self) -> None:
        """Check names, types and fixed sizes that the model declares against the bundle's contract."""
        inputs = {node.name: node for node in self._session.get_inputs()}
        outputs = {node.name: node for node in self._session.get_outputs()}
        if set(inputs) != INPUTS or not set(OUTPUTS) <= set(outputs):
            raise EngineError(
                f"the model takes {sorted(inputs)} and gives {sorted(outputs)}; the contract is image -> logit, cam"
            )
        _check_declared("image", inputs["image"], (None, *self._image_shape))
        _check_declared("logit", outputs["logit"], (None, self._outputs))
        _check_declared("cam", outputs["cam"], (None, self._outputs, None, None))


def _session(model: bytes, options: EngineOptions) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.use_deterministic_compute = True
    # Threads that spin between two images burn a core each, heat a fanless device, and slow down whatever shares the
    # cores: DenseNet-121 beside another busy process took 57 ms without spinning and about 100 ms with it.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 4  # a failure is raised as an error below, not also printed on stderr
    try:
        return onnxruntime.InferenceSession(model, settings, providers=[PROVIDER])
    except Exception as error:  # its exception classes share no base
        raise EngineError(f"onnxruntime cannot load the {options.precision} model: {error}") from error


def _check_declared(name: str, node: Any, wanted: tuple[int | None, ...]) -> None:
    """Compare a declared shape where both sides have a number; a name or None stands for any size."""
    if node.type != "tensor(float)":
        raise EngineError(f"the model's {name} is {node.type}; it must be tensor(float)")
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    fits = len(shape) == len(wanted) and all(
        a is None or b is None or a == b for a, b in zip(shape, wanted, strict=True)
    )
    if not fits or shape[0] is not None:
        raise EngineError(f"the model's {name} has shape {node.shape}; the bundle needs {['N', *wanted[1:]]}")
