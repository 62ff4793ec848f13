"""The files of a bundle's network in every precision, made from the FP32 graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.ranges import RangeImages, Ranges, collect_ranges, network_inputs
from cxr_edge.bundle import PRECISIONS, ModelEntry, Tolerances
from cxr_edge.data_use import Footprint
from cxr_edge.errors import UsageError
from cxr_edge.evaluation.parity import DEFAULT_TOLERANCES
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.regions import Localiser
from export.half import check_fp16_range, emulated_fp16, to_fp16, to_int8_fp16, with_fp16_scales
from export.int8 import NO_LIMITS, Int8Options, ShiftLimits, build_int8, range_tensors, within_limits
from export.int8.exactness import logits_of
from export.int8.fallback import ShiftLimit
from export.native_model import write_native
from export.native_model.build import NativeOptions, build_native
from export.tensorrt_rules import check_tensorrt_rules

__all__ = ["ENGINES_OF", "Artefacts", "build_artefacts", "check_precisions"]

ENGINES_OF: Mapping[str, tuple[str, ...]] = {
    "fp32": ("onnxruntime", "openvino"),
    "fp16": ("onnxruntime", "tensorrt"),
    "int8": ("onnxruntime", "openvino"),
    "int8-fp16": ("tensorrt",),
}
"""Which engines may run a precision's file; which of them `auto` may choose is for the parity gate to say."""

NATIVE_FILE = "model.native"
"""The INT8 network as our own engine runs it, beside ``model.int8.onnx``."""

NATIVE_IMAGES = 64
"""Range images that biases and rounding of `NATIVE_FILE` are fitted on; twice as many change nothing that shows."""

HALF = ("fp16", "int8-fp16")
"""Precisions that compute in FP16, which no CPU engine here does: their arithmetic is emulated for the gate."""

FP16_CHECKED_BATCHES = 8
"""Batches of range images on which the headroom of FP16 is measured."""

NO_TOLERANCES: Mapping[str, Tolerances] = {}


@dataclass(frozen=True, slots=True)
class Artefacts:
    """A network in several precisions.

    Attributes:
        models: the ONNX file's bytes by precision; always with ``"fp32"``.
        emulations: float32 graphs that imitate FP16 arithmetic, by the precision they stand for.
        native: the INT8 network for our own engine; None where there is none.
        record: how the files were made, JSON-ready.
        seen: the images that INT8 ranges came from; None where none were needed.
    """

    models: Mapping[str, bytes]
    emulations: Mapping[str, bytes] = field(default_factory=dict)
    native: bytes | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    seen: Footprint | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """Contents by file name."""
        files = {file_name(precision): model for precision, model in self.models.items()}
        return files if self.native is None else {**files, NATIVE_FILE: self.native}

    def entries(self, tolerances: Mapping[str, Tolerances] = NO_TOLERANCES) -> dict[str, ModelEntry]:
        """What the manifest says of each precision before any parity was measured.

        Args:
            tolerances: by artefact, in place of the usual ones.
        """
        return {
            precision: ModelEntry(
                file=file_name(precision),
                engines=("native", *ENGINES_OF[precision]) if native else ENGINES_OF[precision],
                parity_passed=("onnxruntime",) if precision == "fp32" else (),
                tolerances=tolerances.get(precision, DEFAULT_TOLERANCES[precision]),
                native=native,
                native_tolerances=tolerances.get("native", DEFAULT_TOLERANCES["native"]) if native else None,
            )
            for precision, native in ((name, self._native_file(name)) for name in self.models)
        }

    def _native_file(self, precision: str) -> str | None:
        return NATIVE_FILE if precision == "int8" and self.native is not None else None


def file_name(precision: str) -> str:
    """The name of a precision's file."""
    return f"model.{precision}.onnx"


def check_precisions(precisions: Sequence[str], limits: ShiftLimits = NO_LIMITS) -> None:
    """Return when these precisions can be made together.

    Args:
        precisions: asked for.
        limits: of what INT8 may change.

    Raises:
        UsageError: an unknown one; no FP32, which all others are held against; or limits of INT8 without any INT8.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            raise UsageError(f"precision {precision!r} is unknown; known are {', '.join(PRECISIONS)}")
    if "fp32" not in precisions:
        raise UsageError("a bundle needs its fp32 model: every other precision is held against it")
    if limits != NO_LIMITS and not {"int8", "int8-fp16"} & set(precisions):
        raise UsageError("limits of what INT8 may change go with precision int8 or int8-fp16; ask for one of them")


def build_artefacts(
    fp32: bytes,
    precisions: Sequence[str],
    images: RangeImages | None,
    spec: PreprocessSpec,
    options: Int8Options,
    on_step: Callable[[str], None] = lambda step: None,
    *,
    localiser: Localiser | None = None,
    limits: ShiftLimits = NO_LIMITS,
    temperature: float = 1.0,
) -> Artefacts:
    """Every precision asked for.

    Args:
        fp32: the ONNX file's bytes.
        precisions: with ``"fp32"``.
        images: where INT8 ranges come from and FP16's headroom is measured; None where only ``"fp32"`` is asked for.
        spec: preprocessing of the bundle.
        options: how ``"int8"`` is made. ``"int8-fp16"`` always has Q/DQ on convolution inputs only, signed.
        on_step: told what is being done.
        localiser: of the bundle, where its network needs lungs.
        limits: layers of ``"int8"`` and ``"int8-fp16"`` go back to float until these hold on the range images. The file
            of our own engine, which has no float layers, stays as it is.
        temperature: that probabilities are limited at.

    Raises:
        DatasetError: an image cannot be read, or a range cannot be used.
        UsageError: precisions and limits that `check_precisions` refuses; or a limit on the AUC, and the images don't
            have both classes.
        RefusedInputError: the input gate refuses a range image.
        CheckFailedError: a rewrite is not exact, or activations come too close to the end of FP16, or a graph
            for TensorRT breaks its rules, or a limit is not met with the most layers in float.
    """
    check_precisions(precisions, limits)
    if images is None or tuple(precisions) == ("fp32",):
        return Artefacts({"fp32": fp32})
    inputs = network_inputs(images, spec, localiser=localiser)
    models: dict[str, bytes] = {"fp32": fp32}
    record: dict[str, Any] = {}
    native = None
    if "fp16" in precisions:
        on_step("making the FP16 graph")
        record["fp16"] = asdict(check_fp16_range(fp32, inputs[:FP16_CHECKED_BATCHES]))
        models["fp16"] = to_fp16(fp32)
    if {"int8", "int8-fp16"} & set(precisions):
        on_step(f"taking INT8 ranges from {len(images.sha256)} images and making the INT8 graphs")
        ranges = collect_ranges(fp32, range_tensors(fp32), inputs, preprocess=spec, images=images.sha256)
        measures: tuple[ShiftLimit, ...] = ()
        if limits != NO_LIMITS:
            labels = [image.label for image in images.labels.images]
            measures = limits.measured_against(logits_of(fp32, inputs)[0], labels, temperature)
        made, record["int8"] = _int8_models(fp32, ranges, inputs, options, measures)
        models |= {precision: model for precision, model in made.items() if precision in precisions}
    if "int8" in precisions:
        on_step("making the integers for our own engine")
        native, record["native"] = _native_model(fp32, ranges, inputs)
    for precision in models.keys() - {"int8"}:
        check_tensorrt_rules(models[precision], precision)
    emulations = {precision: emulated_fp16(models[precision]) for precision in HALF if precision in models}
    ordered: dict[str, bytes] = {precision: models[precision] for precision in PRECISIONS if precision in models}
    return Artefacts(ordered, emulations, native, record, images.footprint)


def _int8_models(
    fp32: bytes,
    ranges: Ranges,
    inputs: tuple[NDArray[np.float32], ...],
    options: Int8Options,
    limits: Sequence[ShiftLimit],
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The graph for CPUs and its twin for TensorRT, from the same ranges, and how they were made."""
    for_tensorrt = replace(options, layout="conv-inputs", unsigned_hidden=False, clamp=False)
    built = build_int8(fp32, ranges, options, inputs)
    twin = built if for_tensorrt == options else build_int8(fp32, ranges, for_tensorrt, inputs)
    fallback: dict[str, Any] = {}
    if limits:
        (built, twin), fallback["fallback"] = within_limits((built, twin), limits, inputs)
    # Both files get the scales that FP16 can hold, so that one's integers are the other's.
    models = {"int8": with_fp16_scales(built.model), "int8-fp16": to_int8_fp16(with_fp16_scales(twin.model))}
    return models, {**built.to_json(), **fallback}


def _native_model(
    fp32: bytes, ranges: Ranges, inputs: tuple[NDArray[np.float32], ...]
) -> tuple[bytes | None, dict[str, Any]]:
    """The file for our own engine and how it was made; None, and why, where its format cannot hold the network."""
    options = NativeOptions()
    fitted = np.concatenate(inputs)[:NATIVE_IMAGES]
    try:
        return write_native(build_native(fp32, ranges, fitted, options)), {**options.to_json(), "images": len(fitted)}
    except UsageError as error:  # channel counts that its kernels don't have, or ranges too narrow for its integers
        return None, {"not_made": str(error)}
