"""A model that imitates, on ONNX Runtime's CPU provider, the arithmetic of engines that are not on this machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.engines import EngineDescription, EngineOutput, available_threads

__all__ = ["EmulatedModel"]


class EmulatedModel:
    """A float32 graph from `export.half.emulated_fp16`; stands in for a precision when parity is measured.

    Args:
        model: the ONNX file's bytes.
        precision: that it imitates.
        threads: CPU threads; None means every core that this process may use.
    """

    def __init__(self, model: bytes, precision: str, threads: int | None = None) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads or available_threads()
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Fusing two nodes would drop the rounding between them, which is the point of the emulation.
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session: Any = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        self._description = EngineDescription(
            name="emulation",
            precision=precision,
            device="cpu",
            runtime_version=f"onnxruntime {onnxruntime.__version__}",
            computed_as="fp32 computed, every stored tensor rounded to fp16",
            threads=settings.intra_op_num_threads,
        )

    def describe(self) -> EngineDescription:
        """What runs."""
        return self._description

    def infer(self, images: NDArray[np.float32]) -> EngineOutput:
        """Logits ``[N, K]`` and maps ``[N, K, h, w]`` for network inputs ``[N, 1, H, W]``."""
        logit, cam = self._session.run(["logit", "cam"], {"image": images})
        return EngineOutput(logit, cam)

    def close(self) -> None:
        """Drop the session."""
        self._session = None
