"""NNCF's ONNX back end: its mixed preset, everything that it can quantise in INT8, with its fast bias correction."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cxr_edge.errors import EngineError, UsageError
from export.plain_int8.containment import check_range_images, quiet

__all__ = ["quantised_by_nncf"]

TELEMETRY = "openvino_telemetry"


def quantised_by_nncf(fp32: bytes, images: NDArray[np.float32]) -> bytes:
    """The INT8 model that NNCF writes with its defaults and the mixed preset.

    Args:
        fp32: float32 model.
        images: network inputs ``[N, 1, H, W]``; all are used.

    Raises:
        UsageError: NNCF is not installed, or images that are no network inputs.
        EngineError: NNCF failed.
    """
    check_range_images(images)
    # NNCF reports its use to a server through this package, without asking; it does without where that is missing.
    sys.modules.setdefault(TELEMETRY, None)  # type: ignore[arg-type]  # documented: makes the import an ImportError
    with quiet("nncf"):
        try:
            nncf: Any = import_module("nncf")
        except ImportError as error:
            raise UsageError("this comparison needs NNCF: pip install nncf") from error
        try:
            return quantise(nncf, fp32, images)
        except Exception as error:  # the tool raises whatever its parts raise
            raise EngineError(f"NNCF failed: {type(error).__name__}: {error}") from error


def quantise(nncf: Any, fp32: bytes, images: NDArray[np.float32]) -> bytes:
    """Run the tool."""
    quantised = nncf.quantize(
        onnx.load_from_string(fp32),
        nncf.Dataset([{"image": image[None]} for image in images]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
    )
    data: bytes = quantised.SerializeToString()
    return data
