"""``model.fp16.onnx``: FP16 weights and activations for GPUs, with what needs more kept in float32."""

from __future__ import annotations

import onnx

from export.half.normalisation import without_batch_normalisation
from export.half.retyping import in_half, serialised
from export.half.tail import single_precision_tail

__all__ = ["to_fp16"]


def to_fp16(fp32: bytes) -> bytes:
    """The FP16 graph of a float32 one: same input and outputs (``image``, ``logit``, ``cam``), float32 as before.

    Batch normalisations are folded into the convolution before them or written out around their centre; from the last
    feature map on everything is float32. Every type is in the file, as TensorRT's strongly typed networks want it.

    Args:
        fp32: model as `export.onnx_graph.build_fp32` writes it.

    Raises:
        CheckFailedError: a constant beyond FP16, or a graph of another form.
    """
    model = without_batch_normalisation(onnx.load_from_string(fp32))
    return serialised(in_half(model, single_precision_tail(model.graph)))
