"""Does the ONNX file compute what the checkpoint computes? Compared on real inputs, not on noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cxr_edge.errors import CheckFailedError
from training.model import CheXNet

__all__ = ["CAM_TOLERANCE", "TOLERANCE", "Equivalence", "compare_with_torch"]

TOLERANCE = 1e-4
"""Largest difference of a logit between the FP32 graph and torch: both round float32 sums, in different orders."""

CAM_TOLERANCE = 1e-3
"""The same for a cell of the map; the logit is a mean of cells, in which their rounding errors cancel."""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Largest absolute differences over all inputs.

    Attributes:
        images: how many inputs were compared.
        logit: of a logit.
        cam: of a cell of the class-activation map.
    """

    images: int
    logit: float
    cam: float


def compare_with_torch(network: CheXNet, onnx_model: bytes, inputs: Iterable[NDArray[np.float32]]) -> Equivalence:
    """Run both on the same inputs.

    Args:
        network: the checkpoint, in evaluation mode.
        onnx_model: the exported file's bytes.
        inputs: network inputs ``[N, C, H, W]``.

    Raises:
        CheckFailedError: a logit differs by more than `TOLERANCE` or a cell by more than `CAM_TOLERANCE`, one is not a
            number, or there are no inputs.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_model, providers=["CPUExecutionProvider"])
    images, logit_difference, cam_difference = 0, 0.0, 0.0
    for batch in inputs:
        logit, cam = session.run(["logit", "cam"], {"image": batch})
        with torch.inference_mode():
            expected_logit, expected_cam = (part.numpy() for part in network(torch.from_numpy(batch)))
        images += len(batch)
        # np.maximum keeps a NaN, which Python's max would drop.
        logit_difference = float(np.maximum(logit_difference, np.abs(logit - expected_logit).max()))
        cam_difference = float(np.maximum(cam_difference, np.abs(cam - expected_cam).max()))
    if images == 0:
        raise CheckFailedError("the ONNX graph was compared with the checkpoint on no image; it was not exported")
    for what, difference, allowed in (
        ("logit", logit_difference, TOLERANCE),
        ("cell of the map", cam_difference, CAM_TOLERANCE),
    ):
        if not difference <= allowed:
            raise CheckFailedError(
                f"the ONNX graph differs from the checkpoint by {difference:.2e} in a {what} on {images} images "
                f"(allowed {allowed:.0e}); it was not exported"
            )
    return Equivalence(images, logit_difference, cam_difference)
