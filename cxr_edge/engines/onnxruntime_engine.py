"""ONNX Runtime on the CPU or, asked for by name, on a GPU. The only module that imports it.

What is special to ``cuda`` follows the documentation of the CUDA provider and has not been run on a GPU: the tests
reach the errors of a machine without one, and `OnnxRuntimeEngine.infer_at` on host memory.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from cxr_edge.bundle import Bundle
from cxr_edge.engines.base import Array, Engine, EngineDescription, EngineOptions, EngineOutput, check_output
from cxr_edge.engines.signature import INPUT, OUTPUTS, DeclaredTensor, check_signature
from cxr_edge.errors import EngineError

__all__ = ["OnnxRuntimeEngine"]


@dataclass(frozen=True, slots=True)
class Provider:
    """What ONNX Runtime computes with on a device.

    Attributes:
        name: its name there.
        options: its settings.
        package: the package on PyPI that has it.
        computed_as: for each precision of a model file, what the arithmetic really is.
    """

    name: str
    options: Mapping[str, str]
    package: str
    computed_as: Mapping[str, str]


# The CPU provider has no FP16 convolutions: it casts to FP32 around them. The CUDA provider has no INT8 convolutions:
# it rounds to INT8 and convolves the rounded numbers in floating point. Runtimes differ here, so results say it.
PROVIDERS = {
    "cpu": Provider(
        name="CPUExecutionProvider",
        options={},
        package="onnxruntime",
        computed_as={
            "fp32": "fp32 stored, fp32 computed",
            "fp16": "fp16 stored, fp32 computed",
            "int8": "int8 stored, int8 convolutions, fp32 elsewhere",
            "int8-fp16": "int8 stored, int8 convolutions, fp32 elsewhere",
        },
    ),
    "cuda": Provider(
        name="CUDAExecutionProvider",
        # TF32 would round FP32 convolutions to 10 bits of mantissa, silently; it is on by default. Of the searches for
        # convolution algorithms, the exhaustive default picks by timing, so that two runs could differ in their bits.
        options={"device_id": "0", "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"},
        package="onnxruntime-gpu",
        computed_as={
            "fp32": "fp32 stored, fp32 computed",
            "fp16": "fp16 stored, fp16 computed",
            "int8": "int8 stored, fp32 computed",
            "int8-fp16": "int8 stored, fp16 computed",
        },
    ),
}


class OnnxRuntimeEngine(Engine):
    """One session on one provider, with no other to fall back to.

    Thread-safety: ``InferenceSession.run`` may be called from any number of threads; all share one thread pool, and
    each gets the bits that it would get alone.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions) -> None:
        super().__init__(bundle, options)
        self._provider = PROVIDERS[options.device]
        _check_available(self._provider)
        self._session: Any = _session(bundle.model_bytes(options.precision), options, self._provider)
        check_signature(
            [_declared(node) for node in self._session.get_inputs()],
            [_declared(node) for node in self._session.get_outputs()],
            self._image_shape,
            self._outputs,
        )

    def describe(self) -> EngineDescription:
        """What really runs."""
        return EngineDescription(
            name="onnxruntime",
            precision=self.options.precision,
            device=self.options.device,
            runtime_version=onnxruntime.__version__,
            computed_as=self._provider.computed_as[self.options.precision],
            threads=self.options.threads if self.options.device == "cpu" else 0,
        )

    def infer_at(self, address: int, count: int) -> EngineOutput:
        """Outputs for N images that already lie in the memory of the engine's device, without a copy over the host.

        Args:
            address: of ``[N, 1, H, W]`` float32 in C order, host memory for ``cpu``, device memory for ``cuda``. It
                must be valid, and what writes the images must have finished: neither can be checked here.
            count: N, at least 1.

        Raises:
            EngineError: the engine is closed, failed, or gave other shapes or numbers that are not finite.
        """
        session = self._running_session()
        try:
            binding = session.io_binding()
            binding.bind_input(INPUT, self.options.device, 0, np.float32, (count, *self._image_shape), address)
            for name in OUTPUTS:
                binding.bind_output(name)  # to host memory: 200 bytes for one image
            session.run_with_iobinding(binding)
            output = EngineOutput(*binding.copy_outputs_to_cpu())
        except Exception as error:  # its exception classes share no base
            raise EngineError(f"onnxruntime failed on a batch of {count} at an address: {error}") from error
        check_output(output, (count, self._outputs))
        return output

    def _infer(self, images: Array) -> EngineOutput:
        session = self._running_session()
        try:
            logit, cam = session.run(OUTPUTS, {INPUT: images})
        except Exception as error:  # its exception classes share no base
            raise EngineError(f"onnxruntime failed on a batch of {len(images)}: {error}") from error
        return EngineOutput(logit, cam)

    def _release(self) -> None:
        self._session = None

    def _running_session(self) -> Any:
        session = self._session
        if session is None:  # perhaps closed by another thread since `infer` looked
            raise EngineError("the engine is closed: open it again to classify")
        return session


def _check_available(provider: Provider) -> None:
    """Check that the installed build of ONNX Runtime has a provider.

    Raises:
        EngineError: it has not; the message names the package that has.
    """
    if provider.name not in onnxruntime.get_available_providers():
        raise EngineError(
            f"the installed onnxruntime {onnxruntime.__version__} has no {provider.name}: "
            f"pip uninstall onnxruntime, then pip install {provider.package}; both in one environment hide each other"
        )


def _session(model: bytes, options: EngineOptions, provider: Provider) -> Any:
    if options.device == "cuda" and hasattr(onnxruntime, "preload_dlls"):  # since 1.21
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it does not find; the session's error says it
            onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(
            model, _settings(options), providers=[(provider.name, dict(provider.options))], enable_fallback=0
        )
    except Exception as error:  # its exception classes share no base
        raise EngineError(f"onnxruntime cannot load the {options.precision} model: {error}") from error
    # The session's Python side keeps the file's bytes for a fall-back that is switched off: 28 MB of an FP32 model.
    session._model_bytes = None
    # A provider whose libraries do not load is dropped from the list, without an error.
    if session.get_providers()[0] != provider.name:
        raise EngineError(
            f"onnxruntime could not start {provider.name} and offers {', '.join(session.get_providers())}: "
            "check the driver, CUDA and cuDNN against the versions that onnxruntime's documentation names"
        )
    return session


def _settings(options: EngineOptions) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.use_deterministic_compute = True
    # Threads that spin between two images burn a core each, heat a fanless device, and slow down whatever shares the
    # cores: DenseNet-121 beside another busy process took 57 ms without spinning and about 100 ms with it.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if options.device != "cpu":  # a node that the provider does not take is an error instead of running on the CPU
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    settings.log_severity_level = 4  # a failure is raised as an error, not also printed on stderr
    return settings


def _declared(node: Any) -> DeclaredTensor:
    """What the session says of an input or output; a name or None stands for any size."""
    kind = "float32" if node.type == "tensor(float)" else str(node.type)
    return DeclaredTensor(node.name, kind, tuple(size if isinstance(size, int) else None for size in node.shape))
