"""From the FP32 model and its ranges to an INT8 model, with a record of what was done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from calibration.ranges import Ranges
from cxr_edge.errors import UsageError
from export.int8.activation_grid import BIASED, SIGNED, UNSIGNED
from export.int8.exactness import Exactness, Inputs, check_exact
from export.int8.graph import float_model, int8_model
from export.int8.moments import InputMoments, collect_moments
from export.int8.network import Network
from export.int8.onnx_reader import read_network
from export.int8.options import Int8Options
from export.int8.quantised_network import QuantisedNetwork
from export.int8.rewrites import rewrite, rewrite_steps
from export.int8.weights import quantise_convolution

__all__ = ["Int8Model", "build_int8", "quantised_network", "range_tensors"]

CHECKED_BATCHES = 2
"""Batches of range images on which the rewrites are proven exact."""


@dataclass(frozen=True, slots=True, eq=False)
class Int8Model:
    """An INT8 model and how it was made.

    Attributes:
        model: the ONNX file's bytes.
        network: the integers that it was written from.
        options: as asked for.
        exactness: differences in FP32 after each rewrite.
        fp32_sha256: of the model that it was made from.
        range_images: how many images the ranges come from.
    """

    model: bytes
    network: QuantisedNetwork
    options: Int8Options
    exactness: Mapping[str, Exactness]
    fp32_sha256: str
    range_images: int

    def to_json(self) -> dict[str, Any]:
        """What was done, JSON-ready."""
        return {
            **self.options.to_json(),
            "quantised_convolutions": len(self.network.convolutions),
            "rewrites": {name: asdict(found) for name, found in self.exactness.items()},
            "fp32_sha256": self.fp32_sha256,
            "range_images": self.range_images,
            "bytes": len(self.model),
        }


def range_tensors(fp32_model: bytes) -> tuple[str, ...]:
    """Names of the tensors of the FP32 graph whose ranges `build_int8` needs.

    Raises:
        UnsupportedInputError: the model is none of ours.
    """
    return read_network(fp32_model).range_tensors()


def build_int8(
    fp32_model: bytes,
    ranges: Ranges,
    options: Int8Options,
    inputs: Inputs = (),
    *,
    on_batch: Callable[[int, int], None] = lambda done, of: None,
) -> Int8Model:
    """The INT8 model.

    Args:
        fp32_model: bytes of the ONNX file that `export.onnx_graph` wrote.
        ranges: of its tensors, see `range_tensors`.
        options: what to do.
        inputs: network inputs of the range images, in batches; the rewrites are checked on the first ones, and rounding
            by output error and bias correction learn from all.
        on_batch: told how many batches are done, and of how many.

    Raises:
        UnsupportedInputError: the model is none of ours.
        DatasetError: the ranges are stale or lack a tensor.
        UsageError: options that need images without any, or that name an unknown layer.
        CheckFailedError: a rewrite is not exact.
    """
    sha256 = hashlib.sha256(fp32_model).hexdigest()
    ranges.require_fresh(sha256, ranges.preprocess)
    network = read_network(fp32_model)
    steps = rewrite_steps(network, ranges, options)
    exactness = check_exact(fp32_model, steps, list(inputs)[:CHECKED_BATCHES])
    quantised = quantised_network(network, ranges, options, inputs, on_batch=on_batch)
    model = int8_model(quantised).SerializeToString()
    return Int8Model(model, quantised, options, exactness, sha256, ranges.image_count)


def quantised_network(
    network: Network,
    ranges: Ranges,
    options: Int8Options,
    inputs: Inputs = (),
    *,
    on_batch: Callable[[int, int], None] = lambda done, of: None,
) -> QuantisedNetwork:
    """The integers: what `build_int8` writes as ONNX and an integer engine may run itself.

    Args:
        network: as it was read.
        ranges: of its tensors.
        options: what to do.
        inputs: as for `build_int8`.
        on_batch: as for `build_int8`.

    Raises:
        DatasetError: a range is missing.
        UsageError: options that need images without any, or that name an unknown layer.
    """
    rewritten = rewrite(network, ranges, options)
    layers = rewritten.convolutions()
    unknown = [name for name in options.keep_float if name not in layers]
    if unknown:
        raise UsageError(f"the network has no convolution {unknown[0]!r} to keep in float; it has {', '.join(layers)}")
    grid, hidden_grid = (BIASED, UNSIGNED) if options.unsigned_hidden else (SIGNED, SIGNED)
    chosen = {name: layer for name, layer in layers.items() if name not in options.keep_float}
    moments: Mapping[str, InputMoments] = {}
    if options.needs_images:
        if not len(inputs):
            raise UsageError("rounding by output error and bias correction learn from the range images: give them")
        grown = {layer.grow.name for layer in rewritten.layers()}
        grids = {name: hidden_grid if name in grown else grid for name in chosen}
        model = float_model(rewritten).SerializeToString()
        moments = collect_moments(
            model,
            chosen,
            rewritten.input_tensors(),
            grids,
            inputs,
            covariance=options.rounding != "nearest",
            on_batch=on_batch,
        )
    integers = {
        name: quantise_convolution(
            layer, moments.get(name), rounding=options.rounding, bias_correction=options.bias_correction
        )
        for name, layer in chosen.items()
    }
    return QuantisedNetwork(rewritten, integers, options.layout, grid, hidden_grid)
