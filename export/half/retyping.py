"""Changing the types of a graph's tensors from float32 to FP16, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cxr_edge.errors import CheckFailedError

__all__ = ["HALF_MAX", "in_half", "serialised"]

HALF_MAX = 65504.0
"""Largest finite number of FP16."""

SCALED = frozenset({"QuantizeLinear", "DequantizeLinear"})
RETYPED = SCALED | {
    *("Add", "AveragePool", "Clip", "Concat", "Conv", "Identity"),
    *("Max", "MaxPool", "Min", "Mul", "Pad", "Relu", "Sub"),
}
"""Operators whose float outputs have the type of their float inputs, so that retyping those is all there is to do."""


def in_half(model: onnx.ModelProto, keep: Collection[str]) -> onnx.ModelProto:
    """The graph with FP16 constants and tensors, but for the nodes to keep.

    Graph inputs and outputs stay float32: ``Cast`` nodes stand behind the former and before the nodes that are kept,
    which thus read the FP16 tensors' values in float32. Integers, attributes, names and order of nodes stay.

    Args:
        model: float32, opset 19 or later (the first whose quantisation scales may be FP16); not changed.
        keep: names of the nodes that stay float32; no other node reads what they make.

    Raises:
        CheckFailedError: an operator that is not known to be indifferent to the type, an opset before 19, a constant
            beyond FP16, or a quantisation scale that is no FP16 number.
    """
    check_retypable(model, keep)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    casts = Casts(graph, keep)
    constants = HalfConstants(graph, keep)
    nodes: list[Any] = []
    for node in graph.node:
        if node.name in keep:
            nodes.extend(casts.before(node, casts.single))
        else:
            constants.retype(node)
            nodes.extend(casts.before(node, casts.half))
        nodes.append(node)
    kept = [node.SerializeToString() for node in nodes]  # they live in the list that is cleared next
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(onnx.NodeProto.FromString(node) for node in kept)
    graph.initializer.extend(constants.used_by(graph.node))
    return result


def serialised(model: onnx.ModelProto) -> bytes:
    """The model's bytes, always the same for the same model, after the full check of its types and shapes."""
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def check_retypable(model: onnx.ModelProto, keep: Collection[str]) -> None:
    """Return when every node to retype is of a known operator and the opset is late enough."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < 19:
        raise CheckFailedError(f"the graph is of opset {opset}; FP16 quantisation scales need 19: export it again")
    for node in model.graph.node:
        if node.name not in keep and node.op_type not in RETYPED:
            raise CheckFailedError(
                f"node {node.name!r} is a {node.op_type}, which is not known to compute in the type of its inputs; "
                f"known are {', '.join(sorted(RETYPED))}"
            )


class Casts:
    """Inserts at most one ``Cast`` a tensor and direction, and points the reading nodes to it."""

    def __init__(self, graph: onnx.GraphProto, keep: Collection[str]) -> None:
        constants = {tensor.name for tensor in graph.initializer}
        self.inputs = {value.name for value in graph.input} - constants
        self.made_in_half = {name for node in graph.node if node.name not in keep for name in node.output}
        self.done: set[str] = set()

    def half(self, name: str) -> tuple[str, int] | None:
        """What a node in FP16 reads in place of a tensor, and its type; None where nothing changes."""
        return (f"{name}.half", TensorProto.FLOAT16) if name in self.inputs else None

    def single(self, name: str) -> tuple[str, int] | None:
        """The same for a node that stays float32."""
        return (f"{name}.single", TensorProto.FLOAT) if name in self.made_in_half else None

    def before(self, node: Any, wanted: Callable[[str], tuple[str, int] | None]) -> list[Any]:
        """The ``Cast`` nodes that the node needs and that are not there yet; its inputs are renamed."""
        nodes = []
        for number, name in enumerate(node.input):
            change = wanted(name)
            if change is None:
                continue
            cast, kind = change
            node.input[number] = cast
            if cast not in self.done:
                self.done.add(cast)
                nodes.append(helper.make_node("Cast", [name], [cast], name=cast, to=kind))
        return nodes


class HalfConstants:
    """The graph's constants; float32 ones in FP16 for the nodes that are retyped."""

    def __init__(self, graph: onnx.GraphProto, keep: Collection[str]) -> None:
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.kept_readers = {name for node in graph.node if node.name in keep for name in node.input}

    def retype(self, node: Any) -> None:
        """Let the node read FP16 constants; one that a kept node reads too gets a second name."""
        for number, name in enumerate(node.input):
            tensor = self.tensors.get(name)
            if tensor is None or tensor.data_type != TensorProto.FLOAT:
                continue
            new_name = f"{name}.half" if name in self.kept_readers else name
            exactly = node.op_type in SCALED and number == 1
            self.tensors[new_name] = half_tensor(tensor, new_name, exactly=exactly)
            node.input[number] = new_name

    def used_by(self, nodes: Any) -> list[Any]:
        """The tensors that some node reads, in the order of their first use."""
        names = dict.fromkeys(name for node in nodes for name in node.input)
        return [self.tensors[name] for name in names if name in self.tensors]


def half_tensor(tensor: Any, name: str, *, exactly: bool) -> Any:
    """The constant in FP16, rounded to nearest.

    Raises:
        CheckFailedError: a value beyond FP16 or not finite; with ``exactly``, one that rounding would change.
    """
    values = numpy_helper.to_array(tensor)
    largest = float(np.abs(values).max(initial=0.0))
    if not largest <= HALF_MAX:
        raise CheckFailedError(f"constant {tensor.name!r} reaches {largest:g}; FP16 ends at {HALF_MAX:g}")
    half = values.astype(np.float16)
    if exactly and not np.array_equal(half.astype(np.float32), values):
        raise CheckFailedError(
            f"scale {tensor.name!r} is no FP16 number, so INT8 and INT8-FP16 would differ: pass the INT8 graph through "
            "with_fp16_scales before either is measured"
        )
    return numpy_helper.from_array(half, name)
