"""Which nodes stay in float32: those that turn the last feature map into ``cam`` and ``logit``."""

from __future__ import annotations

import onnx

from cxr_edge.errors import CheckFailedError
from export.half.links import GraphLinks

__all__ = ["single_precision_tail"]

CELLWISE = frozenset(
    {"Add", "BatchNormalization", "Clip", "DequantizeLinear", "Max", "Min", "Mul", "QuantizeLinear", "Relu", "Sub"}
)
"""Operators that leave the map's size alone; the tail reaches back over them."""


def single_precision_tail(graph: onnx.GraphProto) -> frozenset[str]:
    """Names of the nodes from the last feature map on: its normalisation, the head's convolution and the mean.

    A cell of ``cam`` is read by people and its mean decides; in FP16 a map of 5 has steps of 0.004, and a runtime may
    add the cells up in FP16. The tail is some 0.004 % of DenseNet-121's multiplications: float32 costs nothing there.

    Raises:
        CheckFailedError: the graph has no convolution that makes ``cam``, or its ``logit`` comes from elsewhere.
    """
    links = GraphLinks(graph)
    head, mean = links.producer.get("cam"), links.producer.get("logit")
    if head is None or head.op_type != "Conv" or mean is None or mean.op_type != "ReduceMean":
        raise CheckFailedError(
            "the graph does not end as the contract says (Conv -> cam, ReduceMean -> logit): export it again"
        )
    tail, reached = {mean.name, head.name}, list(head.input)
    while reached:
        node = links.producer.get(reached.pop())
        if node is not None and node.name not in tail and node.op_type in CELLWISE:
            tail.add(node.name)
            reached.extend(node.input)
    _check_closed(graph, tail)
    return frozenset(tail)


def _check_closed(graph: onnx.GraphProto, tail: set[str]) -> None:
    """Nothing outside may read what the tail makes: it would have to go back to FP16."""
    made = {name for node in graph.node if node.name in tail for name in node.output}
    for node in graph.node:
        if node.name not in tail and made & set(node.input):
            raise CheckFailedError(f"node {node.name!r} reads the head's float32 tail; only outputs may follow it")
