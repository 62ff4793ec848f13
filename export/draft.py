"""What a bundle is made of before any precision is measured: the FP32 graph, the temperature, the thresholds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import cxr_edge
from calibration.operating_point import fixed_sensitivity_point, fixed_specificity_point, youden_point
from calibration.probability import TemperatureFit, fit_temperature
from cxr_edge.bundle import Manifest
from cxr_edge.data_use import DataUse, Footprint
from cxr_edge.decode import decode
from cxr_edge.errors import BundleError, DatasetError
from cxr_edge.evaluation.recipe import OUT_OF_FOLD, OutOfFold, RecipeEvaluation, evaluate_recipe
from cxr_edge.gate import GateSpec
from cxr_edge.labels import LabelFile, read_labels
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.probability import OperatingPoint
from cxr_edge.regions import Localiser, network_input
from export.artefacts import Artefacts
from export.equivalence import Equivalence, compare_with_torch
from export.golden import GOLDEN_FILE, golden_frame_bytes, golden_record
from export.model_card import CARD_NAME
from export.onnx_graph import build_fp32
from training.checkpoints import load_checkpoint
from training.localisers import LOCALISER_FILE, NO_LOCALISERS, Localisers
from training.run import Run

__all__ = ["Draft", "draft_of", "draft_manifest", "release_run"]

COMPARED_IMAGES = 16
"""Real images on which the ONNX graph is compared with torch."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A run's release model on its way to a bundle.

    Attributes:
        run: the finished cross-validation.
        labels: the label file that it was trained on.
        fp32: the ONNX file's bytes.
        equivalence: of that file with torch.
        fit: temperature from out-of-fold predictions of the development folds.
        points: operating points from the same; the first is the default.
        recipe: cross-validated figures.
        localisers: the run's own, by the fold that each never saw.
    """

    run: Run
    labels: LabelFile
    fp32: bytes
    equivalence: Equivalence
    fit: TemperatureFit
    points: tuple[OperatingPoint, ...]
    recipe: RecipeEvaluation
    localisers: Localisers = NO_LOCALISERS

    @property
    def localiser(self) -> Localiser | None:
        """The lung localiser that ships: the one that never saw the release fold; None where none is needed."""
        return self.localisers.by_fold.get(str(self.run.release_fold))

    @property
    def release_images(self) -> LabelFile:
        """The images of the release fold."""
        kept = tuple(image for image in self.labels.images if image.fold == self.run.release_fold)
        return replace(self.labels, images=kept, where=(*self.labels.where, f"fold={self.run.release_fold}"))

    def data_use(self, ranges: Footprint | None = None) -> DataUse:
        """What the model, its temperature, its thresholds and its INT8 ranges have seen.

        Args:
            ranges: the images that INT8 ranges came from, if there are any.

        Raises:
            DatasetError: the run does not say what its release model has seen.
        """
        path = self.run.directory / release_member(self.run) / "data_use.json"
        try:
            seen = DataUse.from_json(json.loads(path.read_text()))
            # The development folds' out-of-fold predictions are of exactly the images that the release model saw.
            fitted: Footprint = seen.roles["train"]
        except (OSError, ValueError, KeyError, BundleError) as error:
            raise DatasetError(f"{path} does not say what the model has seen ({error}); train it again") from error
        seen = seen.with_role("temperature", fitted).with_role("operating-points", fitted)
        for part in self.localisers.seen[str(self.run.release_fold)].roles.values() if self.localiser else ():
            seen = seen.with_role("localiser", part)
        return seen if ranges is None else seen.with_role("int8-ranges", ranges)


def draft_of(run_directory: Path, data: Path, on_step: Callable[[str], None]) -> Draft:
    """The draft of a run's release model.

    Args:
        run_directory: a finished cross-validation with a release fold.
        data: the label file that it was trained on.
        on_step: told what is being done.

    Raises:
        DatasetError: the run is unfinished, has no release fold, or was trained on another label file; or no
            temperature fits its predictions.
        CheckFailedError: the ONNX graph doesn't compute what the checkpoint does.
    """
    run = release_run(run_directory)
    labels = read_labels(data, run.where)
    if labels.sha256 != run.record["labels_sha256"]:
        raise DatasetError(f"{data} is not the label file that {run_directory} was trained on (its SHA-256 differs)")
    spec = run.config.preprocess

    on_step("writing the FP32 graph and comparing it with torch on real images")
    network = load_checkpoint(run.model_path(release_member(run))).model
    fp32 = build_fp32(network, spec.height, spec.width).SerializeToString()
    release_images = tuple(image for image in labels.images if image.fold == run.release_fold)
    localisers = run_localisers(run, labels)
    compared = replace(labels, images=release_images)
    equivalence = compare_with_torch(network, fp32, network_inputs(compared, spec, localisers))

    on_step("fitting temperature and operating points on out-of-fold predictions")
    development = OutOfFold.read(run.directory / OUT_OF_FOLD).without_fold(str(run.release_fold))
    fit = fit_temperature(development.labels, development.logits, development.patients)
    if fit.at_bound:
        raise DatasetError(
            f"the best temperature lies beyond {fit.temperature.value:g}: out-of-fold logits separate the classes, or "
            "say nothing about them; no probability can be calibrated on them. Check the run's labels and curves"
        )
    recipe = evaluate_recipe(run.directory, with_release_fold=True)
    return Draft(run, labels, fp32, equivalence, fit, operating_points(development), recipe, localisers)


def draft_manifest(draft: Draft, artefacts: Artefacts, *, name: str, version: str) -> Manifest:
    """The manifest without its evidence, which only the written bundle can give.

    Args:
        draft: everything but the precisions.
        artefacts: the precisions.
        name: of the model.
        version: of the model.

    Raises:
        DatasetError: the run does not say what its release model has seen.
    """
    spec = draft.run.config.preprocess
    return Manifest(
        name=name,
        version=version,
        created=datetime.now(timezone.utc).date().isoformat(),
        cxr_edge_version=cxr_edge.__version__,
        released=False,
        models=artefacts.entries(),
        default_precision={"cpu": "fp32"},
        outputs=tuple(draft.run.record["outputs"]),
        preprocess=spec,
        gate=GateSpec().to_json(),
        temperature=draft.fit.temperature,
        operating_points=draft.points,
        default_operating_point=draft.points[0].name,
        golden=golden_record(artefacts.models, spec, draft.localiser),
        data_use=draft.data_use(artefacts.seen).to_json(),
        evidence={},
        model_card=CARD_NAME,
        localiser=None if draft.localiser is None else LOCALISER_FILE,
    )


def draft_files(draft: Draft, artefacts: Artefacts) -> dict[str, bytes]:
    """Contents by file name, with a card that is still to be written."""
    fold = str(draft.run.release_fold)
    localiser = {} if draft.localiser is None else {LOCALISER_FILE: draft.localisers.files[fold]}
    return {**artefacts.files, **localiser, GOLDEN_FILE: golden_frame_bytes(), CARD_NAME: b"draft\n"}


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


def release_member(run: Run) -> str:
    """Name of the member that is released: the one that never saw the release fold."""
    return f"fold-{run.release_fold}"


def run_localisers(run: Run, labels: LabelFile) -> Localisers:
    """The lung localisers that a run kept, one for each fold; none where its networks need no lungs.

    Raises:
        DatasetError: a fold lacks its own.
    """
    needs_lungs = run.config.preprocess.needs_lungs
    return Localisers.open(run.localisers_path, labels.images) if needs_lungs else NO_LOCALISERS


def localiser_of_run(run: Run) -> Localiser | None:
    """The lung localiser that goes with a run's release model; None where it needs no lungs.

    Raises:
        DatasetError: the run lacks it.
    """
    fold = str(run.release_fold)
    return (
        Localisers.open_folds(run.localisers_path, (fold,)).by_fold[fold] if run.config.preprocess.needs_lungs else None
    )


def network_inputs(labels: LabelFile, spec: PreprocessSpec, localisers: Localisers) -> Iterator[NDArray[np.float32]]:
    """Network inputs ``[1, 1, H, W]`` of the first few images."""
    for image in labels.images[:COMPARED_IMAGES]:
        yield network_input(decode(image.path), spec, localisers.of(image))[None, None]


def operating_points(development: OutOfFold) -> tuple[OperatingPoint, ...]:
    """The bundle's operating points; the first is the default."""
    labels, logits, patients = development.labels, development.logits, development.patients
    return (
        youden_point(labels, logits, patients),
        fixed_sensitivity_point(labels, logits, 0.95, patients),
        fixed_specificity_point(labels, logits, 0.95, patients),
    )
