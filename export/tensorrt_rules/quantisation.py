"""Rules of quantising and dequantising nodes: symmetric INT8, in pairs, on the inputs of convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import TensorProto

from export.tensorrt_rules.typed_graph import TypedGraph, type_name

__all__ = ["QUANTISING", "quantisation_faults"]

QUANTISING = ("QuantizeLinear", "DequantizeLinear")


def quantisation_faults(node: Any, graph: TypedGraph) -> Iterator[str]:
    """Faults of one ``QuantizeLinear`` or ``DequantizeLinear``."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if any(name in attributes for name in ("block_size", "output_dtype")):
        yield "has an attribute that came after opset 20"
    if len(node.input) < 3 or not node.input[2]:
        yield "has no zero point, which means unsigned integers in ONNX and signed ones in TensorRT"
        return
    scale, zero = node.input[1], node.input[2]
    if scale not in graph.constants or zero not in graph.constants:
        yield "computes its scale or zero point; both must be initializers"
        return
    yield from _grid_faults(graph, scale, zero)
    quantised, real = (
        (node.output[0], node.input[0]) if node.op_type == "QuantizeLinear" else (node.input[0], node.output[0])
    )
    if graph.types.get(quantised) != TensorProto.INT8:
        yield f"quantises to {type_name(graph.types.get(quantised, 0))}; TensorRT takes int8"
    if graph.types.get(real) != graph.types[scale]:
        yield f"has a {type_name(graph.types[scale])} scale for {type_name(graph.types.get(real, 0))} numbers"
    axis = attributes["axis"].i if "axis" in attributes else 1
    yield from _pairing_faults(node, graph, graph.values(scale), axis)


def _grid_faults(graph: TypedGraph, scale: str, zero: str) -> Iterator[str]:
    scales, zeros = graph.values(scale).astype(np.float64), graph.values(zero)
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        yield "has a scale that is not a positive number"
    if zeros.dtype != np.int8:
        yield f"has a {zeros.dtype} zero point; TensorRT takes int8"
    elif zeros.any():
        yield "has a zero point other than 0; TensorRT quantises symmetrically only"
    if scales.size != zeros.size:
        yield f"has {scales.size} scales and {zeros.size} zero points"


def _pairing_faults(node: Any, graph: TypedGraph, scales: Any, axis: int) -> Iterator[str]:
    """Whether the node stands in a pair before a convolution, and its scales fit what it quantises."""
    source = node.input[0]
    weights = source in graph.constants
    if node.op_type == "DequantizeLinear" and not weights:
        if graph.made_by(source) != "QuantizeLinear":
            yield "dequantises neither a constant nor what QuantizeLinear gave"
        else:
            source = graph.producer[source].input[0]
            weights = source in graph.constants
            yield from _same_grid_faults(node, graph.producer[node.input[0]], graph)
    yield from _reader_faults(node, graph)
    if scales.size == 1:
        return
    if not weights:
        yield "has a scale for each channel of an activation; TensorRT takes one scale"
        return
    shape = list(graph.constants[source].dims)
    if axis != 0 or not shape or scales.size != shape[0]:
        yield f"has {scales.size} scales along axis {axis} of weights {shape}; it takes one for each output channel"


def _reader_faults(node: Any, graph: TypedGraph) -> Iterator[str]:
    readers = graph.readers.get(node.output[0], [])
    if node.op_type == "QuantizeLinear":
        if not readers or any(reader.op_type != "DequantizeLinear" for reader in readers):
            yield "is not followed by DequantizeLinear alone"
    elif not readers or any(reader.op_type != "Conv" for reader in readers):
        yield "is not read by convolutions alone; Q/DQ belong on the inputs of convolutions"
    elif any(node.output[0] in list(reader.input)[2:] for reader in readers):
        yield "gives a convolution's bias, which stays in floating point"


def _same_grid_faults(dequantise: Any, quantise: Any, graph: TypedGraph) -> Iterator[str]:
    """TensorRT fuses a pair, so both halves must mean the same numbers."""
    names = [node.input[1] for node in (dequantise, quantise)]
    if all(name in graph.constants for name in names):
        one, other = (graph.values(name) for name in names)
        if one.shape != other.shape or not np.array_equal(one, other):
            yield "has another scale than the QuantizeLinear before it"
