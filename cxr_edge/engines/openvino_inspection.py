"""What OpenVINO says: of the model that it has, of how it runs it, of what went wrong."""

from __future__ import annotations

from typing import Any

from cxr_edge.engines.signature import INPUT, OUTPUTS, DeclaredTensor
from cxr_edge.engines.silent_openvino import openvino

__all__ = ["computed_as", "declared", "reason"]

STORED = {"fp32": "fp32", "fp16": "fp16", "int8": "int8", "int8-fp16": "int8"}
INTEGERS = ("i8", "u8")


def declared(ports: Any) -> list[DeclaredTensor]:
    """What a model says of its inputs or outputs; a tensor may carry several names, of which the contract's counts."""
    return [
        DeclaredTensor(
            min(port.get_names() & {INPUT, *OUTPUTS}, default=port.any_name),
            "float32" if port.get_element_type() == openvino.Type.f32 else port.get_element_type().get_type_name(),
            tuple(size.get_length() if size.is_static else None for size in port.get_partial_shape()),
        )
        for port in ports
    ]


def computed_as(model: Any, precision: str, elsewhere: str) -> str:
    """How the plugin really computes, counted over the convolutions of the graph that it runs.

    An INT8 model is only fast where its convolutions became INT8 ones; where the plugin left some in floating point,
    the description says how many.

    Args:
        model: an ``openvino.CompiledModel``.
        precision: of the model file.
        elsewhere: in what the plugin was told to compute what is not INT8.
    """
    infos = [node.get_rt_info() for node in model.get_runtime_model().get_ops()]
    kinds = [info["runtimePrecision"].value for info in infos if info["layerType"].value == "Convolution"]
    integers = sum(kind in INTEGERS for kind in kinds)
    if integers == 0:
        computed = f"{elsewhere} computed"
    elif integers == len(kinds):
        computed = f"int8 convolutions, {elsewhere} elsewhere"
    else:
        computed = f"{integers} of {len(kinds)} convolutions in int8, {elsewhere} elsewhere"
    return f"{STORED[precision]} stored, {computed}"


def reason(error: Exception) -> str:
    """What an error of OpenVINO says, without the source files that it lists before."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
