"""Our own INT8 engine on the CPU: the only module that uses its binding."""

from __future__ import annotations

import numpy as np

import cxr_edge._native as _native
from cxr_edge.bundle import Bundle
from cxr_edge.engines.base import Array, Engine, EngineDescription, EngineOptions, EngineOutput
from cxr_edge.errors import EngineError

__all__ = ["NATIVE_FILE", "NativeEngine"]

NATIVE_FILE = "model.native"
"""What the artefact is called; a bundle names the file beside its INT8 model."""

PRECISION = "int8"


class NativeEngine(Engine):
    """One network in integers, bit for bit what ``docs/native-engine.md`` defines.

    Thread-safety: calls from several threads wait for each other inside the engine.

    Args:
        bundle: verified; it must list `NATIVE_FILE`.
        options: precision must be ``"int8"``.
        kernel: one of `cxr_edge._native.kernels` in place of the fastest; results don't depend on it.

    Raises:
        EngineError: another precision, a bundle without the artefact, or one that does not load or fit.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions, kernel: str = "best") -> None:
        super().__init__(bundle, options)
        self._engine: _native.Engine | None = _opened(_model(bundle, options), options, kernel)
        self._kernel, self._threads = self._engine.kernel, self._engine.threads
        self._check_signature(self._engine)

    def describe(self) -> EngineDescription:
        """What really runs."""
        return EngineDescription(
            name="native",
            precision=self.options.precision,
            device=self.options.device,
            runtime_version=_native.__version__,
            computed_as=f"int8 stored, int8 computed ({self._kernel})",
            threads=self._threads,
        )

    def _infer(self, images: Array) -> EngineOutput:
        engine = self._engine
        if engine is None:  # closed by another thread since `infer` looked
            raise EngineError("the engine is closed: open it again to classify")
        count = len(images)
        logit = np.empty((count, engine.outputs), np.float32)
        cam = np.empty((count, engine.outputs, engine.map_height, engine.map_width), np.float32)
        for number in range(count):
            engine.infer(images[number, 0], logit[number], cam[number])
        return EngineOutput(logit, cam)

    def _release(self) -> None:
        self._engine = None

    def _check_signature(self, engine: _native.Engine) -> None:
        got = (1, engine.height, engine.width), engine.outputs
        if got != (self._image_shape, self._outputs):
            raise EngineError(
                f"{NATIVE_FILE} takes an image of {got[0]} and gives {got[1]} outputs; "
                f"the bundle needs {self._image_shape} and {self._outputs}"
            )


def _model(bundle: Bundle, options: EngineOptions) -> bytes:
    if options.precision != PRECISION:
        raise EngineError(f"engine native computes {PRECISION}, not {options.precision}: choose another engine")
    file = bundle.manifest.models[PRECISION].native
    if file is None:
        raise EngineError(f"bundle {bundle.manifest.name!r} has no {NATIVE_FILE}: export it again, or choose an engine")
    return bundle.file_bytes(file)


def _opened(model: bytes, options: EngineOptions, kernel: str) -> _native.Engine:
    try:
        return _native.Engine(model, options.threads, kernel)
    except ValueError as error:
        raise EngineError(f"engine native cannot load {NATIVE_FILE}: {error}") from error
