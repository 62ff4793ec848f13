"""Is a rewrite exact? The logits of the rewritten network in FP32 against the original's, on real inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cxr_edge.errors import CheckFailedError
from export.int8.graph import float_model
from export.int8.network import Network

__all__ = ["TOLERANCE", "Exactness", "check_exact", "logits_of"]

TOLERANCE = 1e-4
"""Largest difference of a logit: float32 rounding in another order. A wrong rewrite is off by far more."""

Inputs = Collection[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Exactness:
    """Largest differences between a rewritten network and the original, both in FP32.

    Attributes:
        images: how many inputs were compared.
        logit: largest absolute difference of a logit.
        cam: largest absolute difference of a cell of the map.
    """

    images: int
    logit: float
    cam: float


def check_exact(original: bytes, rewritten: Mapping[str, Network], inputs: Inputs) -> dict[str, Exactness]:
    """Differences by rewrite.

    Args:
        original: the FP32 ONNX file's bytes.
        rewritten: networks by the name of the rewrite that led to them.
        inputs: network inputs ``[N, C, H, W]``.

    Raises:
        CheckFailedError: a logit differs by more than `TOLERANCE` or is no number, or there are no inputs.
    """
    if not len(inputs):
        raise CheckFailedError("the rewrites were compared with the FP32 model on no image")
    expected = logits_of(original, inputs)
    found = {}
    for name, network in rewritten.items():
        outputs = logits_of(float_model(network).SerializeToString(), inputs)
        logit, cam = (float(np.abs(a - b).max()) for a, b in zip(outputs, expected, strict=True))
        if not logit <= TOLERANCE:
            raise CheckFailedError(
                f"the rewrite {name!r} changes a logit by {logit:.2e} in FP32 (allowed {TOLERANCE:.0e})"
            )
        found[name] = Exactness(len(expected[0]), logit, cam)
    return found


def logits_of(model: bytes, inputs: Inputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits ``[N, K]`` and maps ``[N, K, h, w]`` of a model on ONNX Runtime's CPU provider."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    parts = [session.run(["logit", "cam"], {"image": batch}) for batch in inputs]
    logits, maps = (np.concatenate(part) for part in zip(*parts, strict=True))
    return logits, maps
