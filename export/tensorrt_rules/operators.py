"""Rules of every other node: an operator of the parser's list, types that agree, the restrictions of the list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx import TensorProto

from export.tensorrt_rules.typed_graph import FLOATS, TypedGraph, type_name

__all__ = ["operator_faults"]

WHOLE = (TensorProto.INT32, TensorProto.INT64)

FLOAT_OPERATORS = frozenset(
    {*("AveragePool", "BatchNormalization", "Clip", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "MaxPool")}
)
ANY_OPERATORS = frozenset(
    {
        *("Add", "Cast", "Concat", "Constant", "Div", "Flatten", "Identity", "Max", "Min", "Mul", "Pad", "ReduceMean"),
        *("Relu", "Reshape", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
    }
)
"""Operators of the parser's list that a convolutional classifier may need; the second group takes integers, too."""

CONSTANT_INPUTS = {"ReduceMean": (1,), "Squeeze": (1,), "Unsqueeze": (1,), "Pad": (1, 3), "Clip": (1, 2)}
"""Inputs by number that must be initializers: sizes and limits that the parser folds into a layer."""

POOLS = ("AveragePool", "MaxPool")
REFUSED_CONSTANTS = ("sparse_value", "value_string", "value_strings")


def operator_faults(node: Any, graph: TypedGraph) -> Iterator[str]:
    """Faults of one node that neither quantises nor dequantises."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in FLOAT_OPERATORS | ANY_OPERATORS:
        yield "is not among the operators that are known to be supported"
        return
    types = [graph.types.get(name, 0) for name in (*node.input, *node.output) if name]
    allowed = tuple(FLOATS) if node.op_type in FLOAT_OPERATORS else (*FLOATS, *WHOLE)
    for kind in dict.fromkeys(types):
        if kind not in allowed:
            yield f"has a tensor of type {type_name(kind)}"
    floats = {graph.types[name] for name in node.input if graph.types.get(name) in FLOATS}
    if len(floats) > 1:
        names = " and ".join(sorted(FLOATS[kind] for kind in floats))
        yield f"mixes {names} inputs; strong typing casts nothing by itself"
    yield from _restriction_faults(node, graph)


def _restriction_faults(node: Any, graph: TypedGraph) -> Iterator[str]:
    """What the parser's list of operators says in its column of restrictions."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    for number in CONSTANT_INPUTS.get(node.op_type, ()):
        if len(node.input) > number and node.input[number] and node.input[number] not in graph.constants:
            yield f"takes input {number} from another node; it must be an initializer"
    if node.op_type in POOLS:
        if "dilations" in attributes and set(attributes["dilations"].ints) != {1}:
            yield "is a dilated pooling"
        if len(attributes["kernel_shape"].ints) not in (2, 3):
            yield "pools over neither two nor three dimensions"
        if len(node.output) > 1 and node.output[1]:
            yield "gives indices"
    if node.op_type == "BatchNormalization" and len(node.output) > 1:
        yield "gives statistics, as in training"
    if node.op_type == "Constant" and any(name in attributes for name in REFUSED_CONSTANTS):
        yield "holds a sparse value or text"
    if node.op_type == "Conv" and len(node.input) > 2 and node.input[2] and node.input[2] not in graph.constants:
        yield "has a bias that is computed; it must be an initializer"
