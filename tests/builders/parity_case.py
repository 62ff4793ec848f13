"""A tiny bundle with an INT8 model beside its FP32 one, and labelled phantoms on which the two can be compared.

The network is that of `tiny_bundle`, its head scaled so that logits spread over several units; the labels are drawn
from its own probabilities at the bundle's temperature, so that they are calibrated by construction.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from tiny_bundle import SPEC, BundleParts, tiny_files, tiny_manifest, tiny_onnx
from tiny_run import write_images, write_labels

from cxr_edge.bundle import Manifest, ModelEntry, Tolerances
from cxr_edge.decode import decode
from cxr_edge.evaluation.parity import DEFAULT_TOLERANCES
from cxr_edge.preprocess import preprocess
from cxr_edge.probability import OperatingPoint, Temperature

IMAGES = 48
TEMPERATURE = 1.5
SPREAD = 3.0
"""Standard deviation of the logits over the phantoms."""

FEW_IMAGES = replace(DEFAULT_TOLERANCES["int8"], auc_margin=0.02, sensitivity_margin=0.3, specificity_margin=0.3)
"""Margins that a few dozen images can hold; every other limit is the usual one."""


@dataclass(frozen=True)
class ParityCase:
    """Label file, FP32 model, the same with INT8 weights, FP32 logits of the images; read-only by agreement."""

    labels: Path
    model: bytes
    int8: bytes
    logits: np.ndarray
    threshold: float


@functools.cache
def parity_case(directory: Path) -> ParityCase:
    """The case in a directory; made once for each."""
    folder = directory / "parity-case"
    names = write_images(folder / "images", IMAGES)
    inputs = np.stack([preprocess(decode(folder / "images" / name), SPEC)[None] for name in names])
    plain = near_the_grid(tiny_onnx())
    scaled = with_initializer(plain, "head", SPREAD / float(logits_of(plain, inputs).std()))
    # Centred, and its INT8 twin with it: the phantoms share most of what they make the network say.
    model = with_head_bias(scaled, -float(logits_of(scaled, inputs).mean()))
    int8 = with_int8_weights(model)
    int8 = with_head_bias(int8, float((logits_of(model, inputs) - logits_of(int8, inputs)).mean()))
    logits = logits_of(model, inputs)
    threshold = widest_gap(logits)
    chance = 1 / (1 + np.exp(-(logits - threshold) / TEMPERATURE))
    abnormal = np.random.default_rng(5).random(IMAGES) < chance
    rows: list[dict[str, object]] = [
        {"file": f"images/{name}", "label": int(label), "patient_id": f"p{number}", "half": number % 2}
        for number, (name, label) in enumerate(zip(names, abnormal, strict=True))
    ]
    return ParityCase(write_labels(folder / "labels.csv", rows), model, int8, logits, threshold)


def logits_of(model: bytes, inputs: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logit"], {"image": inputs})[0][:, 0].astype(np.float64)


def widest_gap(logits: np.ndarray) -> float:
    """A threshold near the middle that no small change of a logit crosses."""
    middle = np.sort(logits)[len(logits) // 3 : -len(logits) // 3]
    widest = int(np.argmax(np.diff(middle)))
    return float((middle[widest] + middle[widest + 1]) / 2)


def with_initializer(model: bytes, name: str, factor: float) -> bytes:
    """The model with one of its tensors multiplied."""
    changed = onnx.load_from_string(model)
    for tensor in changed.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))
            return changed.SerializeToString()
    raise AssertionError(f"the model has no tensor {name}")


def with_head_bias(model: bytes, shift: float) -> bytes:
    """The model with a number added to every cell of its map, and so to its logit."""
    changed = onnx.load_from_string(model)
    (mean,) = (node for node in changed.graph.node if node.op_type == "ReduceMean")
    name = f"shift{len(changed.graph.node)}"
    changed.graph.initializer.append(numpy_helper.from_array(np.array([shift], np.float32), name))
    (head,) = (node for node in changed.graph.node if "cam" in node.output)
    head.output[0] = f"{name}.unshifted"
    position = list(changed.graph.node).index(mean)
    changed.graph.node.insert(position, helper.make_node("Add", [f"{name}.unshifted", name], ["cam"]))
    return changed.SerializeToString()


def near_the_grid(model: bytes) -> bytes:
    """The model with weights that rounding to INT8 moves a tenth as far: two layers have no others to average with."""
    changed = onnx.load_from_string(model)
    for tensor in changed.graph.initializer:
        values = numpy_helper.to_array(tensor)
        integers, scale = quantised(values)
        rounded = integers * scale[:, None, None, None]
        tensor.CopyFrom(numpy_helper.from_array((rounded + 0.1 * (values - rounded)).astype(np.float32), tensor.name))
    return changed.SerializeToString()


def quantised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """INT8 weights ``[O, I, h, w]`` and their scales ``[O]``."""
    scale = np.abs(values).max(axis=(1, 2, 3)) / 127
    return np.rint(values / scale[:, None, None, None]).astype(np.int8), scale


def with_int8_weights(model: bytes) -> bytes:
    """The model with both convolutions' weights as INT8 behind DequantizeLinear, one scale an output channel."""
    changed = onnx.load_from_string(model)
    graph = changed.graph
    weights = {name: numpy_helper.to_array(t) for t in graph.initializer if (name := t.name) in ("stem", "head")}
    kept = [tensor for tensor in graph.initializer if tensor.name not in weights]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for name, values in weights.items():
        integers, scale = quantised(values)
        graph.initializer.append(numpy_helper.from_array(integers, f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
        graph.node.insert(0, helper.make_node("DequantizeLinear", [f"{name}.int8", f"{name}.scale"], [name], axis=0))
    return changed.SerializeToString()


def write_parity_bundle(
    directory: Path,
    case: ParityCase,
    candidate: bytes | None = None,
    *,
    temperature: float = TEMPERATURE,
    tolerances: Tolerances = FEW_IMAGES,
    engines: tuple[str, ...] = ("onnxruntime",),
    data_use: Mapping[str, object] | None = None,
) -> Path:
    """A bundle of the case's FP32 model and a candidate, which is its INT8 twin unless given."""
    manifest = parity_manifest(case, temperature, tolerances, engines)
    if data_use is not None:
        manifest = replace(manifest, data_use=data_use)
    files = {**tiny_files(case.model), "model.int8.onnx": candidate or case.int8}
    return BundleParts(manifest, files).write(directory)


def parity_manifest(case: ParityCase, temperature: float, tolerances: Tolerances, engines: tuple[str, ...]) -> Manifest:
    tiny = tiny_manifest()
    golden = replace(tiny.golden, logit={"fp32": (0.0,), "int8": (0.0,)}, tolerance={"fp32": 1e3, "int8": 1e3})
    return replace(
        tiny,
        models={**tiny.models, "int8": ModelEntry("model.int8.onnx", engines, (), tolerances)},
        temperature=Temperature(temperature),
        operating_points=(OperatingPoint("balanced", case.threshold, rule="chosen for tests"),),
        golden=golden,
    )
