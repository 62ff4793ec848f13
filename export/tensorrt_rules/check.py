"""All rules together, for one model file."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto

from cxr_edge.errors import CheckFailedError, UsageError
from export.tensorrt_rules.operators import operator_faults
from export.tensorrt_rules.quantisation import QUANTISING, quantisation_faults
from export.tensorrt_rules.typed_graph import FLOATS, TypedGraph, type_name

__all__ = ["check_tensorrt_rules", "tensorrt_faults"]

OLDEST_OPSET, NEWEST_OPSET = 9, 20
OLDEST_OPSET_FP16_SCALES = 19
"""Before it ONNX knows float32 scales only."""

PRECISIONS = ("fp32", "fp16", "int8-fp16")


def check_tensorrt_rules(model: bytes, precision: str) -> None:
    """Return when TensorRT's documented rules hold for a model.

    Args:
        model: an ONNX file.
        precision: ``"fp32"``, ``"fp16"`` or ``"int8-fp16"``: which types its layers must compute in.

    Raises:
        CheckFailedError: a rule is broken; the message has the first ones, by node.
        UsageError: another precision.
    """
    faults = tensorrt_faults(model, precision)
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise CheckFailedError(f"the {precision} model is not one that TensorRT takes: {'; '.join(faults[:3])}{more}")


def tensorrt_faults(model: bytes, precision: str) -> tuple[str, ...]:
    """The rules that a model breaks, one sentence each; empty when it breaks none.

    Args:
        model: an ONNX file.
        precision: as for `check_tensorrt_rules`.

    Raises:
        UsageError: another precision.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} has no TensorRT rules; known are {', '.join(PRECISIONS)}")
    try:
        parsed = onnx.load_from_string(model)
        onnx.checker.check_model(parsed, full_check=True)
        typed = onnx.shape_inference.infer_shapes(parsed, strict_mode=True, data_prop=True)
    except Exception as error:  # protobuf's and onnx's errors share no base
        return (f"onnx itself refuses it: {' '.join(str(error).split())[:200]}",)
    graph = TypedGraph(typed.graph)
    return (
        *_model_faults(typed, graph),
        *_node_faults(graph),
        *_precision_faults(graph, precision),
    )


def _model_faults(model: onnx.ModelProto, graph: TypedGraph) -> Iterator[str]:
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    opset = opsets.pop("ai.onnx", 0)
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        yield f"opset {opset} is outside {OLDEST_OPSET} to {NEWEST_OPSET}"
    if opsets:
        yield f"it uses the operator sets {', '.join(sorted(opsets))}"
    if len(model.functions):
        yield "it defines functions of its own"
    half_scales = any(
        graph.types.get(node.input[1]) == TensorProto.FLOAT16 for node in graph.nodes if node.op_type in QUANTISING
    )
    if half_scales and opset < OLDEST_OPSET_FP16_SCALES:
        yield f"it has FP16 scales in opset {opset}; they came with {OLDEST_OPSET_FP16_SCALES}"
    for value in (*graph.inputs, *graph.outputs):
        if graph.types[value.name] != TensorProto.FLOAT:
            yield f"{value.name} is {type_name(graph.types[value.name])}; the contract is float32 in and out"
        sizes = list(value.type.tensor_type.shape.dim)
        if any(not size.HasField("dim_value") for size in sizes[1:]):
            yield f"{value.name} has a free size besides its batch, and plans are built for fixed ones"


def _node_faults(graph: TypedGraph) -> Iterator[str]:
    for node in graph.nodes:
        rules = quantisation_faults if node.op_type in QUANTISING else operator_faults
        for fault in rules(node, graph):
            yield f"node {node.name or node.output[0]} ({node.op_type}) {fault}"


def _precision_faults(graph: TypedGraph, precision: str) -> Iterator[str]:
    """Whether the layers compute in the types that the precision's name promises."""
    quantised = any(node.op_type in QUANTISING for node in graph.nodes)
    if quantised != (precision == "int8-fp16"):
        yield f"it {'has' if quantised else 'has no'} QuantizeLinear and DequantizeLinear nodes"
    wanted = TensorProto.FLOAT if precision == "fp32" else TensorProto.FLOAT16
    for node in graph.nodes:
        if node.op_type != "Conv" or node.output[0] == "cam":  # the head may stay float32: its mean decides
            continue
        found = graph.types.get(node.input[0], 0)
        if found != wanted:
            where = node.name or node.output[0]
            yield f"node {where} (Conv) computes in {type_name(found)}, not in {FLOATS[wanted]}"
