"""``model.int8-fp16.onnx`` for TensorRT: the integers and scales of the INT8 graph, FP16 between the convolutions."""

from __future__ import annotations

import onnx

from cxr_edge.errors import CheckFailedError
from export.half.normalisation import without_batch_normalisation
from export.half.retyping import in_half, serialised
from export.half.tail import single_precision_tail

__all__ = ["to_int8_fp16"]


def to_int8_fp16(int8: bytes) -> bytes:
    """The INT8 graph with FP16 in place of float32: tensor types change, integers and scales don't.

    TensorRT runs everything that Q/DQ leaves in float32 in float32, and takes the type of a strongly typed
    ``DequantizeLinear``'s output from its scale; a ``Cast`` between ``DequantizeLinear`` and convolution would stand in
    the pattern that becomes an INT8 kernel. So the scales themselves are FP16, and have to be FP16 numbers already:
    `export.half.with_fp16_scales` sees to that before the INT8 graph is measured.

    Args:
        int8: Q/DQ on convolution inputs only, float32 elsewhere.

    Raises:
        CheckFailedError: unsigned integers, a scale that is no FP16 number, a constant beyond FP16, or a graph of
            another form.
    """
    model = without_batch_normalisation(onnx.load_from_string(int8))
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.UINT8:
            raise CheckFailedError(
                f"{tensor.name!r} is UINT8, which TensorRT's parser refuses: quantise with signed activations"
            )
    return serialised(in_half(model, single_precision_tail(model.graph)))
