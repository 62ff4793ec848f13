"""INT8 from FP32: exact rewrites, integer weights, explicit Q/DQ graphs, sensitivity (see docs/quantization.md)."""

from export.int8.build import Int8Model, build_int8, quantised_network, range_tensors
from export.int8.fallback import NO_LIMITS, ShiftLimits, within_limits
from export.int8.onnx_reader import read_network
from export.int8.options import Int8Options
from export.int8.quantised_network import QuantisedNetwork
from export.int8.weights import QuantisedConvolution

__all__ = [
    "NO_LIMITS",
    "Int8Model",
    "Int8Options",
    "QuantisedConvolution",
    "QuantisedNetwork",
    "ShiftLimits",
    "build_int8",
    "quantised_network",
    "range_tensors",
    "read_network",
    "within_limits",
]
