"""What can be chosen when INT8 is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cxr_edge.errors import UsageError
from export.int8.quantised_network import LAYOUTS, Layout
from export.int8.weights import ROUNDINGS, Rounding

__all__ = ["FLOAT_LAYERS", "Int8Options"]

FLOAT_LAYERS = ("features.conv0", "head")
"""Kept in float unless asked for: 1.4 % of DenseNet-121's multiplications at 224 x 224."""


@dataclass(frozen=True, slots=True)
class Int8Options:
    """How INT8 is made from FP32. The defaults suit every runtime; ONNX Runtime fuses more of all-int8, unsigned.

    Attributes:
        layout: where Q/DQ stands, see `QuantisedNetwork`.
        unsigned_hidden: activations as UINT8, for CPU runtimes: inputs of 3x3 convolutions at 2^-8 instead of INT8 at
            2^-7, of which a tensor that is not negative uses only the upper half; everything else keeps its values
            with a zero point of 128. The weights' integers are made in the same way.
        rounding: of the weights.
        bias_correction: let biases take the mean shift that rounding causes.
        damping: exponent of the per-channel scales: 1 all of them, 0 one scale per tensor.
        clamp: the clamp form on an INT8 concatenation, in place of a second quantisation.
        keep_float: names of convolutions that are not quantised.
    """

    layout: Layout = "conv-inputs"
    unsigned_hidden: bool = False
    rounding: Rounding = "nearest"
    bias_correction: bool = True
    damping: float = 1.0
    clamp: bool = False
    keep_float: tuple[str, ...] = FLOAT_LAYERS

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise UsageError(f"INT8 layout {self.layout!r} is unknown; use {' or '.join(LAYOUTS)}")
        if self.rounding not in ROUNDINGS:
            raise UsageError(f"weight rounding {self.rounding!r} is unknown; use {', '.join(ROUNDINGS)}")
        if not 0 <= self.damping <= 1:
            raise UsageError(f"damping {self.damping} is outside 0..1")
        if self.clamp and self.layout != "all-int8":
            raise UsageError("the clamp form needs the layout all-int8")

    @property
    def needs_images(self) -> bool:
        """Whether the range images themselves are needed, not only their ranges."""
        return self.bias_correction or self.rounding != "nearest"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return {**asdict(self), "keep_float": list(self.keep_float)}
