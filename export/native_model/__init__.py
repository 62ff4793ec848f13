"""The network as integers for our own engine: its record, its file ``model.native``, its arithmetic's definition."""

from export.native_model.interpreter import NativeOutput, interpret
from export.native_model.layers import (
    Affine,
    Clamp,
    Convolution,
    DenseLayer,
    Head,
    Transition,
)
from export.native_model.reader import read_native
from export.native_model.record import NativeNetwork
from export.native_model.writer import write_native

__all__ = [
    "Affine",
    "Clamp",
    "Convolution",
    "DenseLayer",
    "Head",
    "NativeNetwork",
    "NativeOutput",
    "Transition",
    "interpret",
    "read_native",
    "write_native",
]
