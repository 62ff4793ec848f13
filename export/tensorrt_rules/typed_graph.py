"""A graph with its types looked up: what every rule asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import TensorProto, numpy_helper

__all__ = ["FLOATS", "TypedGraph", "type_name"]

FLOATS: Mapping[int, str] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}
"""Types that layers compute in, by ONNX's number."""


class TypedGraph:
    """A graph with the type of every tensor, its constants, and who makes and reads what."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes: list[Any] = list(graph.node)
        self.inputs: list[Any] = list(graph.input)
        self.outputs: list[Any] = list(graph.output)
        self.constants: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        self.types: dict[str, int] = {
            value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)
        }
        self.types |= {name: tensor.data_type for name, tensor in self.constants.items()}
        self.producer: dict[str, Any] = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def made_by(self, tensor: str) -> str:
        """The operator that makes a tensor; empty for inputs and constants."""
        node = self.producer.get(tensor)
        return str(node.op_type) if node is not None else ""

    def values(self, tensor: str) -> Any:
        """A constant's numbers as an array."""
        return numpy_helper.to_array(self.constants[tensor])


def type_name(kind: int) -> str:
    """ONNX's own word for a type, in lower case."""
    return str(TensorProto.DataType.Name(kind)).lower()
