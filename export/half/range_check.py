"""Do the activations fit FP16? Measured on real inputs before an FP16 graph is released."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from cxr_edge.errors import CheckFailedError
from export.half.normalisation import without_batch_normalisation
from export.half.retyping import HALF_MAX
from export.half.tail import single_precision_tail

__all__ = ["LEAST_FACTOR", "Headroom", "check_fp16_range"]

LEAST_FACTOR = 8.0
"""Room asked for above what was measured: unseen images, other exposures, no overflow all the same."""


@dataclass(frozen=True, slots=True)
class Headroom:
    """How far activations stay from FP16's end.

    Attributes:
        images: on how many it was measured.
        tensor: the one with the largest magnitude.
        largest: that magnitude.
    """

    images: int
    tensor: str
    largest: float

    @property
    def factor(self) -> float:
        """How many times larger the activations could become."""
        return HALF_MAX / self.largest if self.largest else float("inf")


def check_fp16_range(fp32: bytes, inputs: Iterable[NDArray[np.float32]]) -> Headroom:
    """The largest activation among the tensors that `export.half.to_fp16` stores in FP16.

    Args:
        fp32: the float32 model.
        inputs: network inputs ``[N, 1, H, W]``, one batch after another.

    Raises:
        CheckFailedError: no inputs, or an activation that is not finite or within a factor of `LEAST_FACTOR` of
            65,504.
    """
    import onnxruntime

    model, tensors = observed(without_batch_normalisation(onnx.load_from_string(fp32)))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # no tensor is fused away
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    largest, images = np.zeros(len(tensors)), 0
    for batch in inputs:
        images += len(batch)
        peaks = [np.abs(values).max() for values in session.run(tensors, {"image": batch})]
        largest = np.maximum(largest, peaks)
    if images == 0:
        raise CheckFailedError("activations were measured on no image; FP16 cannot be released without")
    worst = int(np.argmax(np.where(np.isnan(largest), np.inf, largest)))
    found = Headroom(images, tensors[worst], float(largest[worst]))
    if not found.factor >= LEAST_FACTOR:
        raise CheckFailedError(
            f"tensor {found.tensor!r} reaches {found.largest:g} on {images} images; FP16 ends at {HALF_MAX:g} and a "
            f"factor of {LEAST_FACTOR:g} is asked for: leave FP16 out of the bundle, or look at that layer's weights"
        )
    return found


def observed(model: onnx.ModelProto) -> tuple[bytes, list[str]]:
    """The model with every tensor that becomes FP16 as an output, and their names."""
    tail = single_precision_tail(model.graph)
    names = [name for node in model.graph.node if node.name not in tail for name in node.output]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return model.SerializeToString(), names
