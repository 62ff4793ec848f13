"""From a finished cross-validation to a bundle: ONNX, thresholds, golden input, evidence, model card."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

import cxr_edge
from calibration.operating_point import fixed_sensitivity_point, fixed_specificity_point, youden_point
from calibration.probability import TemperatureFit, fit_temperature
from cxr_edge.bundle import Manifest, ModelEntry
from cxr_edge.classifier import Classifier
from cxr_edge.data_use import DataUse, Footprint
from cxr_edge.decode import decode
from cxr_edge.errors import BundleError, DatasetError
from cxr_edge.evaluation import Evaluation, evaluate
from cxr_edge.evaluation.measure import measure
from cxr_edge.evaluation.recipe import OUT_OF_FOLD, OutOfFold, RecipeEvaluation, evaluate_recipe
from cxr_edge.gate import GateSpec
from cxr_edge.labels import LabelFile, read_labels
from cxr_edge.preprocess import preprocess
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.probability import OperatingPoint, Temperature
from export.bundle_writer import check_replaceable, write_bundle
from export.equivalence import Equivalence, compare_with_torch
from export.golden import GOLDEN_FILE, golden_frame_bytes, golden_record
from export.model_card import CARD_NAME, render_card
from export.onnx_graph import build_fp32
from training.checkpoints import load_checkpoint
from training.run import Run

__all__ = ["ExportReport", "export_run"]

COMPARED_IMAGES = 16
"""Real images on which the ONNX graph is compared with torch."""

MODEL_FILE = "model.fp32.onnx"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export did.

    Attributes:
        destination: the bundle.
        equivalence: largest differences between ONNX and torch on real inputs.
        temperature: fitted on out-of-fold predictions of the development folds.
        evaluation: of the finished bundle on the release fold.
        recipe: cross-validated figures of the recipe.
    """

    destination: Path
    equivalence: Equivalence
    temperature: Temperature
    evaluation: Evaluation
    recipe: RecipeEvaluation


def export_run(
    run_directory: Path,
    data: Path,
    destination: Path,
    *,
    name: str,
    version: str,
    subgroups: Sequence[str] = (),
    force: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> ExportReport:
    """Write the bundle of a run's release model.

    Args:
        run_directory: a finished cross-validation with a release fold.
        data: the label file that it was trained on.
        destination: folder of the bundle.
        name: of the model.
        version: of the model.
        subgroups: columns of the model card's subgroup tables.
        force: replace a bundle that is there.
        on_step: told what is being done.

    Raises:
        DatasetError: the run is unfinished, has no release fold, or was trained on another label file.
        CheckFailedError: the ONNX graph doesn't compute what the checkpoint does.
        OutputError: something is at the destination already, or the bundle can't be written.
    """
    check_replaceable(destination, force=force)
    run = release_run(run_directory)
    labels = read_labels(data, run.where)
    if labels.sha256 != run.record["labels_sha256"]:
        raise DatasetError(f"{data} is not the label file that {run_directory} was trained on (its SHA-256 differs)")
    member = f"fold-{run.release_fold}"
    spec = run.config.preprocess

    on_step("writing the FP32 graph and comparing it with torch on real images")
    network = load_checkpoint(run.model_path(member)).model
    model = build_fp32(network, spec.height, spec.width).SerializeToString()
    release_images = replace(labels, images=tuple(i for i in labels.images if i.fold == run.release_fold))
    equivalence = compare_with_torch(network, model, network_inputs(release_images, spec))

    on_step("fitting temperature and operating points on out-of-fold predictions")
    development = OutOfFold.read(run.directory / OUT_OF_FOLD).without_fold(str(run.release_fold))
    fit = fit_temperature(development.labels, development.logits, development.patients)
    if fit.at_bound:
        raise DatasetError(
            f"the best temperature lies beyond {fit.temperature.value:g}: out-of-fold logits separate the classes, or "
            "say nothing about them; no probability can be calibrated on them. Check the run's labels and curves"
        )
    points = operating_points(development)
    recipe = evaluate_recipe(run.directory, with_release_fold=True)

    manifest = draft_manifest(run, member, model, fit.temperature, points, name=name, version=version)
    files: dict[str, bytes | Path] = {MODEL_FILE: model, GOLDEN_FILE: golden_frame_bytes(), CARD_NAME: b"draft\n"}

    on_step("measuring the bundle on the release fold, which nothing was fitted on")
    with TemporaryDirectory() as scratch:
        # The figures on the card are those of the files that ship: the bundle is written, run, and only then released.
        draft = write_bundle(Path(scratch) / "draft", manifest, files)
        evaluation = measured(draft, release_images, subgroups)
    manifest = replace(manifest, evidence=evidence(evaluation, recipe, equivalence, fit))
    files[CARD_NAME] = render_card(manifest, run, evaluation, recipe, run.record["datasets"]).encode()
    write_bundle(destination, manifest, files, force=force)
    return ExportReport(destination, equivalence, fit.temperature, evaluation, recipe)


def draft_manifest(
    run: Run,
    member: str,
    model: bytes,
    temperature: Temperature,
    points: tuple[OperatingPoint, ...],
    *,
    name: str,
    version: str,
) -> Manifest:
    """The manifest without its evidence, which only the written bundle can give."""
    return Manifest(
        name=name,
        version=version,
        created=datetime.now(timezone.utc).date().isoformat(),
        cxr_edge_version=cxr_edge.__version__,
        released=True,
        models={"fp32": ModelEntry(MODEL_FILE, ("onnxruntime",), ("onnxruntime",))},
        default_precision={"cpu": "fp32"},
        outputs=tuple(run.record["outputs"]),
        preprocess=run.config.preprocess,
        gate=GateSpec().to_json(),
        temperature=temperature,
        operating_points=points,
        default_operating_point=points[0].name,
        golden=golden_record(model, run.config.preprocess),
        data_use=data_use(run, member).to_json(),
        evidence={},
        model_card=CARD_NAME,
    )


def release_run(directory: Path) -> Run:
    """A finished cross-validation with a release fold.

    Raises:
        DatasetError: it is something else.
    """
    run = Run.open(directory)
    if run.release_fold is None:
        raise DatasetError(
            f"{directory} has no release fold, so no model of it was kept from the images it would be measured on; "
            "train with --cross-validate --release-fold"
        )
    unfinished = [member for member in run.members if not run.finished(member)]
    if unfinished:
        raise DatasetError(f"{directory} is unfinished ({', '.join(unfinished)}); repeat its train command")
    return run


def network_inputs(labels: LabelFile, spec: PreprocessSpec) -> Iterator[NDArray[np.float32]]:
    """Network inputs ``[1, 1, H, W]`` of the first few images."""
    for image in labels.images[:COMPARED_IMAGES]:
        yield preprocess(decode(image.path), spec)[None, None]


def operating_points(development: OutOfFold) -> tuple[OperatingPoint, ...]:
    """The bundle's operating points; the first is the default."""
    labels, logits, patients = development.labels, development.logits, development.patients
    return (
        youden_point(labels, logits, patients),
        fixed_sensitivity_point(labels, logits, 0.95, patients),
        fixed_specificity_point(labels, logits, 0.95, patients),
    )


def data_use(run: Run, member: str) -> DataUse:
    """What the release model has seen, and what its temperature and thresholds were fitted on."""
    path = run.directory / member / "data_use.json"
    try:
        seen = DataUse.from_json(json.loads(path.read_text()))
        # The development folds' out-of-fold predictions are of exactly the images that the release model trained on.
        fitted: Footprint = seen.roles["train"]
    except (OSError, ValueError, KeyError, BundleError) as error:
        raise DatasetError(f"{path} does not say what the model has seen ({error}); train it again") from error
    return seen.with_role("temperature", fitted).with_role("operating-points", fitted)


def measured(bundle: Path, labels: LabelFile, subgroups: Sequence[str]) -> Evaluation:
    """Figures of a bundle on images that it has not seen.

    Raises:
        DatasetError: an image that the gate refused or that could not be read: a card must not leave images out.
    """
    with Classifier.open(bundle) as classifier:
        result = measure(classifier, labels)
        left_out = len(result.refused) + len(result.failed)
        if left_out:
            raise DatasetError(f"{left_out} of {len(labels.images)} release images were not classified")
        return evaluate(
            result.predictions, classifier.bundle.manifest.temperature, classifier.operating_point, subgroups
        )


def evidence(
    evaluation: Evaluation, recipe: RecipeEvaluation, equivalence: Equivalence, fit: TemperatureFit
) -> dict[str, Any]:
    """What the manifest says for itself: bundle figures and recipe figures, never mixed."""
    record = {
        "bundle_on_release_fold": evaluation.to_json(),
        "recipe_cross_validated": recipe.to_json(),
        "temperature_out_of_fold": fit.to_json(),
        "onnx_against_torch": {
            "images": equivalence.images,
            "largest_logit_difference": equivalence.logit,
            "largest_cam_difference": equivalence.cam,
        },
    }
    plain: dict[str, Any] = finite_only(record)
    return plain


def finite_only(value: Any) -> Any:
    """The same JSON value with NaN and infinity, which JSON cannot hold, as null."""
    if isinstance(value, Mapping):
        return {key: finite_only(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite_only(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
