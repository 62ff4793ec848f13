"""FP16 on a CPU: an FP32-computing graph that rounds to FP16 wherever an FP16 tensor would be stored.

ONNX Runtime's CPU provider computes an FP16 graph's convolutions in float32 and may keep float32 between nodes, so
running the FP16 file there says little about a GPU. Here every stored tensor is rounded. What cannot be rounded
from outside is the sum inside a kernel: it is float32 here, as in most tensor-core kernels, but a GPU's runtime may
choose one that adds up in FP16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.half.retyping import serialised

__all__ = ["emulated_fp16"]

SELECTING = frozenset({"Concat", "Identity", "Max", "MaxPool", "Min", "Relu"})
"""Operators that only choose among numbers that are FP16 already: rounding would change nothing."""

UNSTORED = frozenset({"DequantizeLinear"})
"""A GPU's INT8 kernel multiplies the integers; integer times scale is never stored, so it is not rounded."""


def emulated_fp16(model: bytes) -> bytes:
    """A float32 graph that gives what the FP16 graph gives when each node computes in float32 and stores FP16.

    Args:
        model: from `export.half.to_fp16` or `export.half.to_int8_fp16`.
    """
    typed = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), strict_mode=True)
    half = half_tensors(typed.graph)
    result = onnx.ModelProto()
    result.CopyFrom(typed)
    graph = result.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(widened(tensor) for tensor in typed.graph.initializer)
    for node in typed.graph.node:
        graph.node.extend(emulated(node, half))
    return serialised(result)


def half_tensors(graph: Any) -> set[str]:
    """Names of the tensors that are FP16."""
    values = [*graph.value_info, *graph.input, *graph.output]
    return {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT16}


def widened(tensor: Any) -> Any:
    """An FP16 constant's values as float32; any other constant as it is."""
    if tensor.data_type != TensorProto.FLOAT16:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)


def emulated(node: Any, half: set[str]) -> list[Any]:
    """The nodes that stand for one: itself, and the rounding of its output where that is stored in FP16."""
    output = node.output[0]
    if node.op_type == "Cast":
        if output in half:
            return rounding(node.input[0], output)
        return [helper.make_node("Identity", list(node.input), [output], name=node.name)]
    if output not in half or node.op_type in SELECTING | UNSTORED:
        return [node]
    exact = onnx.NodeProto()
    exact.CopyFrom(node)
    exact.output[0] = f"{output}.unrounded"
    return [exact, *rounding(exact.output[0], output)]


def rounding(source: str, output: str) -> list[Any]:
    """Two casts that round a float32 tensor to FP16 numbers."""
    stored = f"{output}.stored"
    return [
        helper.make_node("Cast", [source], [stored], name=stored, to=TensorProto.FLOAT16),
        helper.make_node("Cast", [stored], [output], name=f"{output}.rounded", to=TensorProto.FLOAT),
    ]
