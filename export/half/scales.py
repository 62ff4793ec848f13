"""Weight scales that are FP16 numbers, so that an INT8 graph and its FP16 twin hold the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from cxr_edge.errors import CheckFailedError
from export.half.links import GraphLinks
from export.half.retyping import HALF_MAX, serialised

__all__ = ["with_fp16_scales"]

SMALLEST = 2.0**-24
"""Smallest positive FP16 number; TensorRT's parser refuses a scale of zero."""


def with_fp16_scales(int8: bytes) -> bytes:
    """The INT8 graph with every scale of quantised weights an FP16 number.

    A scale becomes the nearest FP16 number that is not smaller, and the integers are rounded to it: among normal FP16
    numbers it grows by less than 0.1 %, which no integer up to 127 notices, and a weight by as much. Below 2^-14 the
    numbers of FP16 are 2^-24 apart, so a scale may grow by more and integers shrink; no weight moves by more than half
    the new scale, which is then below 4e-5. Activation scales are left alone: ours is 2^-7.

    Args:
        int8: Q/DQ graph with INT8 weights stored as integers.

    Raises:
        CheckFailedError: a weight scale that is not positive, not finite, or beyond FP16.
    """
    model = onnx.ModelProto()
    model.ParseFromString(int8)
    links = GraphLinks(model.graph)
    changed: set[tuple[str, str]] = set()
    for node in model.graph.node:
        stored = links.initializers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        scale = links.initializers.get(node.input[1]) if stored is not None else None
        if stored is None or scale is None or (stored.name, scale.name) in changed:
            continue
        changed.add((stored.name, scale.name))
        rescale(stored, scale, axis_of(node))
    return serialised(model)


def rescale(stored: Any, scale: Any, axis: int) -> None:
    """Replace scale and integers in place."""
    integers, before = numpy_helper.to_array(stored), numpy_helper.to_array(scale)
    after = fp16_not_below(before, scale.name)
    ratio = before.astype(np.float64) / after
    if ratio.ndim:
        shape = [1] * integers.ndim
        shape[axis] = ratio.size
        ratio = ratio.reshape(shape)
    rounded = np.rint(integers * ratio).astype(integers.dtype)
    stored.CopyFrom(numpy_helper.from_array(rounded, stored.name))
    scale.CopyFrom(numpy_helper.from_array(after, scale.name))


def fp16_not_below(scales: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """The smallest FP16 numbers that are not below the scales, as float32."""
    if not ((scales > 0) & (scales <= HALF_MAX)).all():
        raise CheckFailedError(
            f"scale {name!r} holds {float(scales.min()):g} to {float(scales.max()):g}; scales lie above 0 and up to "
            f"{HALF_MAX:g}: check the channel's range"
        )
    nearest = scales.astype(np.float16)
    up = np.nextafter(nearest, np.float16(np.inf), dtype=np.float16)
    chosen = np.where(nearest.astype(np.float32) < scales, up, nearest).astype(np.float32)
    positive: NDArray[np.float32] = np.maximum(chosen, np.float32(SMALLEST))
    return positive


def axis_of(node: Any) -> int:
    """The axis along which the scales vary; ONNX's default is 1."""
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 1)
