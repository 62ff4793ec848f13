"""What every inference engine is: float32 images in, logits and class-activation maps out, checked once, here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from cxr_edge.bundle import Bundle
from cxr_edge.engines.freed_memory import return_freed_memory
from cxr_edge.errors import EngineError, UsageError
from cxr_edge.records import Radiograph

__all__ = ["Engine", "EngineDescription", "EngineOptions", "EngineOutput", "check_output"]

WARM_UP_RUNS = 2
"""The first run allocates and plans, the second finds its memory in place; later ones take the same time."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """Outputs for N images.

    Attributes:
        logit: ``[N, K]`` float32, K as many as the bundle has outputs; before any sigmoid.
        cam: ``[N, K, h, w]`` float32 in logits; ``logit`` is its mean over h and w.
    """

    logit: Array
    cam: Array


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """What really runs, not what was asked for.

    Attributes:
        name: the engine's name in the table, such as ``"onnxruntime"``.
        precision: of the model file, such as ``"int8"``.
        device: as in the engine's row of the table, such as ``"cpu"``.
        runtime_version: version of the runtime.
        computed_as: how the numbers are stored and computed, such as ``"fp16 stored, fp32 computed"``.
        threads: CPU threads of one inference; 0 where the CPU does not compute.
        model_cache: where the compiled model came from: ``"read"`` from the device's cache, ``"written"`` to it, or
            ``"not written: ..."`` with the reason; None for an engine that compiles nothing worth keeping.
    """

    name: str
    precision: str
    device: str
    runtime_version: str
    computed_as: str
    threads: int
    model_cache: str | None = None


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine is opened with; every field is decided before the engine is asked.

    Attributes:
        precision: one that the bundle holds for this engine.
        device: one that the engine's row in the table names.
        threads: CPU threads of one inference, at least 1.
    """

    precision: str
    device: str
    threads: int


class Engine(ABC):
    """One network, loaded and ready. A context manager; also closed by `close`.

    Thread-safety: `infer` may be called from several threads at once and gives each the numbers that it would get
    alone; an adapter whose runtime cannot do that takes a lock. `close` may be called while others infer: they
    finish or get an `EngineError`.

    A subclass loads in ``__init__`` and overrides `_infer`, `_release` and `describe`.

    Args:
        bundle: verified; models come from `Bundle.model_bytes`, never from a path.
        options: precision, device and threads.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions) -> None:
        spec = bundle.manifest.preprocess
        self.options = options
        self._image_shape = (1, spec.height, spec.width)
        self._outputs = len(bundle.manifest.outputs)
        self._closed = False

    def infer(self, images: Array) -> EngineOutput:
        """Logits and maps of N images.

        Args:
            images: ``[N, 1, H, W]`` float32, C-contiguous, as preprocessing makes them; not changed.

        Raises:
            UsageError: images of another shape, type or memory layout, or with numbers that are not finite.
            EngineError: the engine is closed, failed, or gave other shapes or numbers that are not finite.
        """
        _check_images(images, self._image_shape)
        if self._closed:
            raise EngineError("the engine is closed: open it again to classify")
        output = self._infer(images)
        check_output(output, (images.shape[0], self._outputs))
        return output

    def preprocesses(self) -> bool:
        """Whether `infer_radiograph` works here: preprocessing runs where the network does, with the same bits."""
        return False

    def infer_radiograph(self, radiograph: Radiograph) -> EngineOutput:
        """Logits and maps of one radiograph, preprocessed by the engine itself.

        Args:
            radiograph: stored pixels; not changed.

        Raises:
            EngineError: this engine leaves preprocessing to its caller, is closed, or failed.
        """
        raise EngineError(f"engine {self.describe().name} takes preprocessed images: use infer")

    def warm_up(self) -> None:
        """Run blank images until times are those of later runs; memory that only loading needed is given back.

        Raises:
            EngineError: like `infer`.
        """
        blank = np.zeros((1, *self._image_shape), dtype=np.float32)
        for _ in range(WARM_UP_RUNS):
            self.infer(blank)
        return_freed_memory()

    def close(self) -> None:
        """Give back memory and threads; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._release()

    @abstractmethod
    def describe(self) -> EngineDescription:
        """What really runs."""

    @abstractmethod
    def _infer(self, images: Array) -> EngineOutput:
        """Outputs for checked images; every failure of the runtime is raised as an `EngineError`."""

    @abstractmethod
    def _release(self) -> None:
        """Drop what the runtime holds; called once."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _check_images(images: Array, image_shape: tuple[int, int, int]) -> None:
    if images.ndim != 4 or images.shape[0] < 1 or images.shape[1:] != image_shape:
        wanted = "x".join(map(str, image_shape))
        raise UsageError(f"images must have shape Nx{wanted} with N >= 1; got {'x'.join(map(str, images.shape))}")
    if images.dtype != np.float32:
        raise UsageError(f"images must be float32, as preprocessing gives them; got {images.dtype}")
    if not images.flags.c_contiguous:
        raise UsageError("images must be C-contiguous: use numpy.ascontiguousarray")
    # Not left to the output: OpenVINO's ReLU makes 0 of NaN, and the logit is then finite and means nothing.
    if not np.isfinite(images).all():
        raise UsageError("images hold NaN or infinity, which preprocessing never gives")


def check_output(output: EngineOutput, logit_shape: tuple[int, int]) -> None:
    """Check that outputs have the contract's shapes, ``logit_shape`` being ``(N, K)``, and are finite.

    Raises:
        EngineError: they are not, so there is no decision.
    """
    logit, cam = output.logit, output.cam
    if logit.shape != logit_shape or cam.ndim != 4 or cam.shape[:2] != logit_shape or cam.size == 0:
        raise EngineError(
            f"the model gave logit {logit.shape} and cam {cam.shape}; "
            f"for this bundle they must be {logit_shape} and {(*logit_shape, 'h', 'w')}"
        )
    if not (np.isfinite(logit).all() and np.isfinite(cam).all()):
        raise EngineError(
            "the model gave NaN or infinity, so there is no decision: "
            "check the bundle with `cxr-edge self-test` or choose another precision"
        )
