"""INT8 parity pooled over a cross-validation: every image judged by the INT8 twin of the model that never saw it.

The release fold is one sample of images and one set of weights. Here each member gets an INT8 model whose ranges come
from the folds that it trained on, both see its held-out fold, and the differences are pooled: a figure of the method.
What a member gave is kept in its folder, so that an interrupted measurement goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.ranges import RangeImages, choose_range_images, network_inputs
from calibration.ranges.images import DEFAULT_COUNT
from cxr_edge.atomic import write_atomically
from cxr_edge.data_use import footprint, image_sha256
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.parity import Agreement, Outputs, agreement
from cxr_edge.evaluation.recipe import OUT_OF_FOLD, OutOfFold
from cxr_edge.labels import LabelFile, read_labels
from cxr_edge.probability import OperatingPoint, Temperature
from export.artefacts import build_artefacts
from export.draft import release_run, run_localisers
from export.int8 import NO_LIMITS, Int8Options, ShiftLimits
from export.onnx_graph import build_fp32
from training.checkpoints import load_checkpoint
from training.run import Run

__all__ = ["PooledParity", "pooled_parity"]

KEPT_FILE = "int8_parity.npz"
KEPT_SCHEMA = 1
"""Version of the file that keeps a member's outputs; another one is measured again."""


@dataclass(frozen=True, slots=True)
class PooledParity:
    """INT8 against FP32 on ONNX Runtime, every image by the member that never saw it.

    Attributes:
        folds: images in each held-out fold.
        agreement: pooled over all images on calibrated logits: each member's are divided by its own cross-fitted
            temperature and decided at its own cross-fitted threshold.
    """

    folds: dict[str, int]
    agreement: Agreement

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; flips are counted."""
        return {"folds": self.folds, "agreement": {**asdict(self.agreement), "flips": len(self.agreement.flips)}}


@dataclass(frozen=True, slots=True)
class Method:
    """How a member's INT8 model is made.

    Attributes:
        options: of quantisation.
        range_images: how many images its ranges come from.
        limits: layers go back to float until these hold on them.
        temperature: that probabilities are limited at.
    """

    options: Int8Options
    range_images: int
    limits: ShiftLimits
    temperature: float

    def to_json(self) -> dict[str, Any]:
        """Everything that the model depends on beside the images; without limits no temperature is among it."""
        if self.limits == NO_LIMITS:
            return self.options.to_json()
        return {**self.options.to_json(), **self.limits.to_json(), "temperature": self.temperature}


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What a member's FP32 and INT8 model gave for its held-out fold."""

    reference: Outputs
    candidate: Outputs


def pooled_parity(
    run_directory: Path,
    data: Path,
    options: Int8Options,
    range_images: int = DEFAULT_COUNT,
    on_step: Callable[[str], None] = lambda step: None,
    *,
    limits: ShiftLimits = NO_LIMITS,
) -> PooledParity:
    """Measure every member of a cross-validation; minutes for each that was not measured before.

    Args:
        run_directory: a finished cross-validation with a release fold.
        data: the label file that it was trained on.
        options: how INT8 is made.
        range_images: how many images each member's ranges come from.
        on_step: told what is being done.
        limits: layers of each member go back to float until these hold on its range images.

    Raises:
        DatasetError: the run is unfinished, or was trained on another label file, or an image cannot be read.
        CheckFailedError: a limit is not met.
        OutputError: a member's folder cannot be written.
    """
    run = release_run(run_directory)
    labels = read_labels(data, run.where)
    if labels.sha256 != run.record["labels_sha256"]:
        raise DatasetError(f"{data} is not the label file that {run_directory} was trained on (its SHA-256 differs)")
    table = OutOfFold.read(run.directory / OUT_OF_FOLD)
    pairs: dict[str, Pair] = {}
    for number, (member, fold) in enumerate(run.members.items(), start=1):
        on_step(f"INT8 against FP32 on held-out fold {fold} ({number} of {len(run.members)})")
        temperature = float(table.temperatures[row_of(table, str(fold))])
        method = Method(options, range_images, limits, temperature)
        pairs[str(fold)] = member_pair(run, member, labels, method)
    folds = {fold: pair.reference.images for fold, pair in pairs.items()}
    return PooledParity(folds, pooled(pairs, table))


def pooled(pairs: dict[str, Pair], table: OutOfFold) -> Agreement:
    """Agreement over the images of all folds.

    Args:
        pairs: outputs by fold.
        table: temperature and threshold of each fold.
    """
    calibrated, decided = [], []
    for fold, pair in pairs.items():
        row = row_of(table, fold)
        temperature, threshold = float(table.temperatures[row]), float(table.thresholds[row])
        calibrated.append(Pair(*(scaled(part, 0.0, temperature) for part in (pair.reference, pair.candidate))))
        decided.append(Pair(*(scaled(part, threshold, temperature) for part in (pair.reference, pair.candidate))))
    one, zero = Temperature(1.0), OperatingPoint("each member's own", 0.0)
    figures, decisions = (agreement(*joined(part), one, zero) for part in (calibrated, decided))
    return replace(figures, flips=decisions.flips, flip_rate=decisions.flip_rate)


def row_of(table: OutOfFold, fold: str) -> int:
    """A row of a fold, whose temperature and threshold every row of it has."""
    return int(np.flatnonzero(table.folds == fold)[0])


def scaled(outputs: Outputs, origin: float, unit: float) -> Outputs:
    """Outputs counted from another origin in another unit of logits."""
    return Outputs.of((outputs.logits - origin) / unit, (outputs.cams - origin) / unit)


def joined(pairs: list[Pair]) -> tuple[Outputs, Outputs]:
    """All references and all candidates, one after another."""
    reference, candidate = (
        Outputs.of(np.concatenate([part.logits for part in parts]), np.concatenate([part.cams for part in parts]))
        for parts in ([pair.reference for pair in pairs], [pair.candidate for pair in pairs])
    )
    return reference, candidate


def member_pair(run: Run, member: str, labels: LabelFile, method: Method) -> Pair:
    """A member's outputs on its held-out fold, from its folder where they were kept."""
    fold = run.members[member]
    held_out = replace(labels, images=tuple(image for image in labels.images if image.fold == fold))
    others = replace(labels, images=tuple(image for image in labels.images if image.fold != fold))
    chosen = choose_range_images(
        others, method.range_images, release_fold=run.release_fold, evaluated=footprint(held_out)
    )
    path = run.directory / member / KEPT_FILE
    key = kept_key(run.model_path(member), chosen, method, held_out)
    kept = read_kept(path, key)
    if kept is None:
        kept = measured_pair(run, member, chosen, method, held_out)
        write_atomically(path, kept_bytes(kept, key))
    return kept


def measured_pair(run: Run, member: str, chosen: RangeImages, method: Method, held_out: LabelFile) -> Pair:
    """Both models of a member, made and run."""
    spec = run.config.preprocess
    network = load_checkpoint(run.model_path(member)).model
    fp32 = build_fp32(network, spec.height, spec.width).SerializeToString()
    localiser = run_localisers(run, held_out).by_fold.get(str(run.members[member]))
    made = build_artefacts(
        fp32,
        ("fp32", "int8"),
        chosen,
        spec,
        method.options,
        localiser=localiser,
        limits=method.limits,
        temperature=method.temperature,
    )
    every = tuple(image_sha256(image.path) for image in held_out.images)
    inputs = network_inputs(RangeImages(held_out, every, footprint(held_out), seed=0), spec, localiser=localiser)
    return Pair(outputs_of(fp32, inputs), outputs_of(made.models["int8"], inputs))


def outputs_of(model: bytes, inputs: tuple[NDArray[np.float32], ...]) -> Outputs:
    """What ONNX Runtime makes of batches of network inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    parts = [session.run(["logit", "cam"], {"image": batch}) for batch in inputs]
    logits, cams = (np.concatenate(arrays)[:, 0] for arrays in zip(*parts, strict=True))
    return Outputs.of(logits, cams)


def kept_key(checkpoint: Path, chosen: RangeImages, method: Method, held_out: LabelFile) -> str:
    """SHA-256 over everything that a member's outputs depend on but the program itself."""
    parts = {
        "schema": KEPT_SCHEMA,
        "checkpoint": image_sha256(checkpoint),
        "ranges": chosen.sha256,
        "options": method.to_json(),
        "labels": held_out.sha256,
        "where": held_out.where,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def kept_bytes(pair: Pair, key: str) -> bytes:
    """The file that `read_kept` reads."""
    buffer = io.BytesIO()
    arrays = {"reference": pair.reference, "candidate": pair.candidate}
    columns = {f"{name}_{part}": getattr(out, part) for name, out in arrays.items() for part in ("logits", "cams")}
    np.savez(buffer, key=np.array(key), **columns)
    return buffer.getvalue()


def read_kept(path: Path, key: str) -> Pair | None:
    """What was kept under the same key; None where nothing was, or it can no longer be used."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["key"]) != key:
                return None
            reference, candidate = (
                Outputs.of(kept[f"{name}_logits"], kept[f"{name}_cams"]) for name in ("reference", "candidate")
            )
            return Pair(reference, candidate)
    except (OSError, ValueError, KeyError, DatasetError):
        return None
