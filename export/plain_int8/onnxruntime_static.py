"""ONNX Runtime's static quantisation: Q/DQ on convolution inputs, one symmetric scale a tensor, weights per channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import EngineError
from export.plain_int8.containment import check_range_images, quiet, scratch_directory

__all__ = ["RangeMethod", "quantised_by_onnxruntime"]

RangeMethod = Literal["min-max", "percentile", "entropy"]

METHODS = {"min-max": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}

IMAGES_AT_ONCE = 8
"""Images whose activations are in memory at once: DenseNet-121 at 224x224 has some 50 MB of convolution inputs each."""


def quantised_by_onnxruntime(
    fp32: bytes, images: NDArray[np.float32], method: RangeMethod = "min-max", percentile: float = 99.99
) -> bytes:
    """The INT8 model as ONNX Runtime's own tools make it: pre-processing, range measurement, quantisation.

    Args:
        fp32: float32 model.
        images: network inputs ``[N, 1, H, W]`` to measure activation ranges on.
        method: how ranges are taken from the measured activations.
        percentile: share of magnitudes inside the range, in percent; for the method of that name alone.

    Raises:
        UsageError: images that are no network inputs.
        EngineError: the tool failed.
    """
    check_range_images(images)
    # The root logger: the library logs through it.
    with quiet(""), scratch_directory() as scratch:
        try:
            return quantise(fp32, ImageReader(images), method, percentile, scratch)
        except Exception as error:  # the tool raises whatever its parts raise
            raise EngineError(f"ONNX Runtime's quantisation failed: {type(error).__name__}: {error}") from error


def quantise(fp32: bytes, reader: ImageReader, method: RangeMethod, percentile: float, scratch: Path) -> bytes:
    """Run the tools in a scratch directory."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source, prepared, written = (scratch / name for name in ("fp32.onnx", "prepared.onnx", "int8.onnx"))
    source.write_bytes(fp32)  # a path: from a model in memory the tool makes external data that it cannot read back
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(written),
        reader,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=getattr(CalibrationMethod, METHODS[method]),
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "OpTypesToExcludeOutputQuantization": ["Conv"],
            "QuantizeBias": False,
            "CalibPercentile": percentile,
            "CalibTensorRangeSymmetric": True,
            # Any method then measures in portions and merges them; the name is that of the first that could.
            "CalibStridedMinMax": portion(len(reader)),
        },
    )
    return written.read_bytes()


def portion(count: int) -> int:
    """The largest divisor of the number of images that fits into memory at once, as the tool demands a divisor."""
    return max(size for size in range(1, IMAGES_AT_ONCE + 1) if count % size == 0)


class ImageReader:
    """What the tool reads images from, one by one; the methods and their names are its interface.

    Args:
        images: ``[N, 1, H, W]``.
    """

    def __init__(self, images: NDArray[np.float32]) -> None:
        self.images = images
        self.set_range(0, len(images))

    def __len__(self) -> int:
        return len(self.images)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Continue with the images from start to just before end."""
        self.position, self.end = start_index, end_index

    def get_next(self) -> dict[str, Any] | None:
        """The next image as the model's input, or None behind the last."""
        if self.position >= self.end:
            return None
        self.position += 1
        return {"image": self.images[self.position - 1 : self.position]}
