"""From a finished cross-validation to a bundle: every precision, the parity gate, evidence, model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from calibration.ranges import RangeImages, choose_range_images
from cxr_edge.atomic import write_atomically
from cxr_edge.bundle import Manifest, open_bundle
from cxr_edge.data_use import assert_unseen, footprint
from cxr_edge.evaluation import Evaluation
from cxr_edge.evaluation.parity import ParityImages, joined, parity_html, parity_images
from cxr_edge.evaluation.parity.candidates import select_candidates
from cxr_edge.evaluation.recipe import RecipeEvaluation
from cxr_edge.labels import LabelFile, LabelledImage, read_labels
from cxr_edge.probability import Temperature
from export.artefacts import Artefacts, build_artefacts, check_precisions
from export.bundle_writer import check_replaceable, write_bundle
from export.checkpoint_reference import CheckpointReference
from export.draft import Draft, draft_files, draft_manifest, draft_of
from export.emulated_model import EmulatedModel
from export.equivalence import Equivalence
from export.evidence import PARITY_FILE, evidence, measured, parity_evidence, parity_file
from export.external import ExternalFigures, external_figures, read_external, refuse_own
from export.model_card import CARD_NAME, LOCALISER_LICENCE, render_card
from export.parity_gate import GateOutcome, hold_gate
from export.pooled_parity import PooledParity, pooled_parity
from export.release_options import ReleaseOptions

__all__ = ["ExportReport", "ReleaseOptions", "export_run"]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export did.

    Attributes:
        destination: the bundle.
        equivalence: largest differences between ONNX and torch on real inputs.
        temperature: fitted on out-of-fold predictions of the development folds.
        evaluation: of the finished bundle on the release fold.
        recipe: cross-validated figures of the recipe.
        gate: the parity gate; None where the bundle holds FP32 alone and only its reference engine runs here.
        pooled: INT8 parity over the whole cross-validation, where it was asked for.
        external: of the finished bundle on data of other origin.
    """

    destination: Path
    equivalence: Equivalence
    temperature: Temperature
    evaluation: Evaluation
    recipe: RecipeEvaluation
    gate: GateOutcome | None
    pooled: PooledParity | None
    external: tuple[ExternalFigures, ...] = ()


def export_run(
    run_directory: Path,
    data: Path,
    destination: Path,
    options: ReleaseOptions,
    *,
    on_step: Callable[[str], None] = lambda step: None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> ExportReport:
    """Write the bundle of a run's release model.

    Args:
        run_directory: a finished cross-validation with a release fold.
        data: the label file that it was trained on.
        destination: folder of the bundle.
        options: what it is called, holds, and is measured on.
        on_step: told what is being done.
        on_image: told how many images of the parity measurement are done, and of how many.

    Raises:
        DatasetError: the run is unfinished, has no release fold, or was trained on another label file; or images that
            cannot be used.
        SeenDataError: ranges would come from images that parity or figures are measured on, or the model has seen
            those; or images of the release fold are among the external ones.
        CheckFailedError: the ONNX graph doesn't compute what the checkpoint does, a rewrite is not exact, or the parity
            gate does not hold and ``force`` is not set, or `ShiftLimits` are not met. Nothing is written then but the
            parity report.
        OutputError: something is at the destination already, or the bundle can't be written.
    """
    check_replaceable(destination, force=options.replace)
    check_precisions(options.precisions, options.shift_limits)
    external = read_external(options.external_data, options.external_subgroups)
    draft = draft_of(run_directory, data, on_step)
    refuse_own(external, footprint(draft.release_images))
    images = joined((draft.release_images, *more_images(draft, options)))
    evaluated = joined((*images.sources, *external))
    assert_unseen(evaluated.footprint(), draft.data_use())
    artefacts = build_artefacts(
        draft.fp32,
        options.precisions,
        range_images(draft, evaluated, options),
        draft.run.config.preprocess,
        options.int8,
        on_step,
        localiser=draft.localiser,
        limits=options.shift_limits,
        temperature=draft.fit.temperature.value,
    )
    manifest = draft_manifest(draft, artefacts, name=options.name, version=options.version)
    manifest = replace(manifest, models=artefacts.entries(options.tolerances))
    files: dict[str, bytes | Path] = {**draft_files(draft, artefacts)}
    licences = {} if manifest.localiser is None else {manifest.localiser: LOCALISER_LICENCE}
    # Every figure is one of the files that ship: they are written, run, and only then released.
    with TemporaryDirectory() as scratch:
        on_step("holding every precision against FP32 on images that nothing was fitted on")
        gate = gated(
            write_bundle(Path(scratch) / "parity", manifest, files, licences=licences),
            images,
            artefacts,
            options,
            on_image,
        )
        manifest = judged(manifest, gate)
        on_step("measuring the bundle on the release fold, which nothing was fitted on")
        path = write_bundle(Path(scratch) / "figures", manifest, files, licences=licences)
        evaluation = measured(path, draft.release_images, options.subgroups)
        elsewhere = external_figures(path, external, options.external_subgroups)
    parity = None
    if gate is not None:
        files[PARITY_FILE] = record = parity_file(gate.report)
        parity = parity_evidence(gate.report, record)
    pooled = None
    if options.pooled:
        pooled = pooled_parity(
            run_directory, data, options.int8, options.range_images, on_step, limits=options.shift_limits
        )
    precision = manifest.default_precision["cpu"]
    manifest = replace(manifest, evidence=evidence(draft, artefacts, evaluation, precision, parity, pooled, elsewhere))
    card = render_card(manifest, draft.run, evaluation, draft.recipe, draft.run.record["datasets"], elsewhere)
    files[CARD_NAME] = card.encode()
    write_bundle(destination, manifest, files, licences=licences, force=options.replace)
    return ExportReport(
        destination, draft.equivalence, draft.fit.temperature, evaluation, draft.recipe, gate, pooled, elsewhere
    )


def more_images(draft: Draft, options: ReleaseOptions) -> tuple[LabelFile, ...]:
    """The label files that parity is measured on beside the release fold; the run's own adds nothing to that."""
    sources = parity_images(options.parity_data).sources if options.parity_data else ()
    return tuple(source for source in sources if source.where or source.sha256 != draft.labels.sha256)


def range_images(draft: Draft, evaluated: ParityImages, options: ReleaseOptions) -> RangeImages | None:
    """The images that INT8 ranges come from, the run's development folds or another file; None for FP32 alone."""
    if options.precisions == ("fp32",):
        return None
    labels = draft.labels if options.ranges_data is None else read_labels(options.ranges_data)
    if labels.sha256 == draft.labels.sha256:
        labels = replace(draft.labels, images=development_images(draft))
    return choose_range_images(labels, options.range_images, evaluated=evaluated.footprint())


def development_images(draft: Draft) -> tuple[LabelledImage, ...]:
    """The images of the run that are not of its release fold."""
    return tuple(image for image in draft.labels.images if image.fold != draft.run.release_fold)


def gated(
    draft: Path,
    images: ParityImages,
    artefacts: Artefacts,
    options: ReleaseOptions,
    on_image: Callable[[int, int], None],
) -> GateOutcome | None:
    """What the gate found for a written draft; None where there is nothing to hold against FP32.

    Raises:
        CheckFailedError: the gate does not hold, and ``force`` is not set; the parity report is written all the same.
    """
    bundle = open_bundle(draft)
    with_reference = options.checkpoint is not None
    if not select_candidates(bundle, with_reference=with_reference, stand_ins=artefacts.emulations).chosen:
        return None
    reference = CheckpointReference(options.checkpoint, bundle.manifest) if options.checkpoint else None
    stand_ins = {precision: EmulatedModel(model, precision) for precision, model in artefacts.emulations.items()}
    gate = hold_gate(bundle, images, stand_ins=stand_ins, reference=reference, on_image=on_image)
    if options.parity_report is not None:
        write_atomically(options.parity_report, parity_html(gate.report))
    if not options.force:
        gate.require()
    return gate


def judged(manifest: Manifest, gate: GateOutcome | None) -> Manifest:
    """The manifest with the engines that passed, the precisions that follow from it, and whether it is released."""
    models = manifest.models if gate is None else gate.entries(manifest.models)
    int8 = models.get("int8")
    default = {"cpu": "int8" if int8 is not None and "onnxruntime" in int8.parity_passed else "fp32"}
    if "fp16" in models:
        default["cuda"] = "fp16"
    return replace(manifest, models=models, default_precision=default, released=gate is None or gate.held)
