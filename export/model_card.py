"""The model card: what the model is, what it has seen, how good it is, and what it must not be used for.

After Mitchell et al., Model Cards for Model Reporting (FAT* 2019). Every figure comes from the records of the run and
of the bundle's own evaluation; the text holds no number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr_edge.bundle import Manifest
from cxr_edge.evaluation import Evaluation, evaluation_text
from cxr_edge.evaluation.recipe import RecipeEvaluation, recipe_text
from export.external import ExternalFigures
from training.run import Run

__all__ = ["CARD_NAME", "LOCALISER_LICENCE", "render_card"]

CARD_NAME = "MODEL_CARD.md"

INTENDED_USE = """\
## Intended use

Research and engineering: measuring latency, numerical parity and the behaviour of a normal/abnormal classifier of
frontal chest X-rays on edge devices. **It is not a medical device.** It must not be used for diagnosis, triage,
treatment decisions, screening, or any decision about a person; nor on lateral views, other body parts, children, or
images from equipment and populations on which its figures below have not been confirmed.

"Abnormal" means what the training labels mean (see Data): a model that answers "normal" has not excluded disease.
"""

DATA_TERMS = {
    "shenzhen": "Shenzhen Hospital chest X-ray set (U.S. National Library of Medicine; Jaeger et al., Quant Imaging "
    "Med Surg 2014; attribution requested): normal against abnormal with manifestations of tuberculosis.",
    "montgomery": "Montgomery County chest X-ray set (U.S. National Library of Medicine; Jaeger et al., Quant Imaging "
    "Med Surg 2014; attribution requested): normal against abnormal with manifestations of tuberculosis.",
    "nih": "NIH ChestX-ray14 (Wang et al., CVPR 2017; no restriction on use): labels mined from radiology reports.",
}
"""Origin and terms by the name that `cxr-edge index` gives a data set."""

SEEN_BY_HASH = """\
The images are not part of this bundle; `manifest.json` lists hashes of what was seen, in
which role.
"""

LOCALISER_LICENCE = (
    "CC BY-NC-SA 4.0, non-commercial: trained on the lung masks of Stirenko et al. 2018, which are under these terms; "
    "not under the licence of the package"
)
"""Terms of the lung localiser's file: those of the masks that it learnt from."""

REGIONS = {
    "full": "the whole image, stretched to its input",
    "body": "the image without black borders and collimation bars, stretched to its input; no model finds them",
    "lungs": "the bounding box of the lungs with a margin, stretched to its input",
    "lungs-masked": "the bounding box of the lungs with a margin, stretched to its input, one grey outside them",
}
"""What the network sees, by variant of preprocessing."""

GREY_SCALES = {
    "equalised": "the histogram is equalised",
    "clahe": "contrast is equalised tile by tile within limits (CLAHE)",
}
"""How each contrast changes what the network sees."""


def render_card(
    manifest: Manifest,
    run: Run,
    evaluation: Evaluation,
    recipe: RecipeEvaluation,
    datasets: Sequence[str],
    external: Sequence[ExternalFigures] = (),
) -> str:
    """The card as Markdown.

    Args:
        manifest: of the bundle.
        run: that trained the model.
        evaluation: of this bundle on the release fold.
        recipe: cross-validated figures of the training recipe.
        datasets: names of the data sets that its training and pretraining saw.
        external: of this bundle on data of other origin.
    """
    return "\n".join(
        [
            f"# {manifest.name} {manifest.version}",
            "",
            "A CheXNet (DenseNet-121, one input channel, 1x1-convolution head) that gives a calibrated probability of "
            '"abnormal" and the class-activation map that its logit is the mean of.',
            "",
            INTENDED_USE,
            "## How good it is",
            "",
            "Two kinds of figures, never mixed. Intervals are 95 %.",
            "",
            f"**This bundle**, measured on fold {run.release_fold}, which nothing in it was fitted on: not the "
            "weights, not the temperature, not the thresholds.",
            "",
            fenced(evaluation_text(evaluation)),
            "",
            f"**The recipe**, by cross-validation. The models of the other folds never saw fold {run.release_fold} "
            "either, so each trained on one fold fewer than this bundle did.",
            "",
            fenced(recipe_text(recipe)),
            "",
            *external_section(external),
            *parity_section(manifest),
            *input_section(manifest),
            "## Data",
            "",
            *(f"- {terms_of(dataset)}" for dataset in datasets),
            "",
            SEEN_BY_HASH,
            *data_table(manifest),
            "",
            "## Training",
            "",
            *training_lines(run, manifest),
            "",
            "## Operating points",
            "",
            *operating_point_table(manifest),
            "",
            "Thresholds and temperature were fitted on out-of-fold predictions of the development folds. Another "
            "site's equipment and case mix shift both: choose the threshold on the site's own labelled images "
            "(`cxr-edge fit-site`, docs/sites.md).",
            "",
        ]
    )


def external_section(external: Sequence[ExternalFigures]) -> list[str]:
    """The bundle on images of other hospitals, by subgroup; nothing where it was measured on none."""
    if not external:
        return []
    lines = [
        "### Elsewhere",
        "",
        "The same bundle with the same threshold on images of other origin, which nothing in it was fitted on either. "
        'Equipment, case mix and the meaning of "abnormal" all differ there: these figures show what such a change '
        "does, stand for themselves, and are averaged with none of those above.",
        "",
    ]
    for figures in external:
        chosen = f" where {', '.join(figures.where)}" if figures.where else ""
        refused = f"; {figures.refused} more were refused by the input gate" if figures.refused else ""
        lines += [f"`{figures.name}`{chosen}{refused}:", "", fenced(evaluation_text(figures.evaluation)), ""]
    return lines


def input_section(manifest: Manifest) -> list[str]:
    """What the network sees of an image, and on what terms the file that finds it comes."""
    spec = manifest.preprocess
    lines = ["## Input", "", f"The network sees {REGIONS[spec.variant]}: {spec.height} x {spec.width} pixels."]
    if spec.contrast != "none":
        lines[-1] += f" Of the grey scale, {GREY_SCALES[spec.contrast]}."
    if manifest.localiser is None:
        return [*lines, "No lung masks were used in making this bundle.", ""]
    fate = "refused" if spec.not_found == "refuse" else "shown by its body, and the result says so"
    return [
        *lines,
        f"The margin is {spec.margin} % of the box on each side. An image in which no lungs are found is {fate}.",
        f"`{manifest.localiser}` finds the lungs. Its terms are its own: {LOCALISER_LICENCE}.",
        "",
    ]


def fenced(text: str) -> str:
    """A block of preformatted text."""
    return f"```\n{text}\n```"


def terms_of(dataset: str) -> str:
    """Origin and terms of a data set, or that they are not known here."""
    return DATA_TERMS.get(dataset, f"Data set `{dataset}`: its origin and terms are not known to this project.")


def parity_section(manifest: Manifest) -> list[str]:
    """How the fast precisions compare with FP32, from the evidence; nothing where none was measured."""
    parity = manifest.evidence.get("parity")
    if not parity:
        return []
    return [
        "## Does the fast model decide like the slow one?",
        "",
        f"Held against {parity['reference']['name']} {parity['reference']['precision']} on {parity['compared']} images "
        f"({parity['abnormal']} abnormal) that nothing was fitted on; {data_words(parity)}. Differences are candidate "
        "minus reference, with paired 95 % intervals. The limits stand in `manifest.json`, figures of every image in "
        "`parity.json`, and `cxr-edge parity` measures them again.",
        "",
        *([] if manifest.released else ["**Limits are broken: this bundle is not released.**", ""]),
        "| engine, precision | p99 \\|Δp\\| | max \\|Δp\\| | RMS Δlogit | flips | Δ AUC | Δ sensitivity | "
        "Δ specificity | map r | same peak | |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(parity_row(comparison) for comparison in parity["comparisons"]),
        "",
        *emulation_note(parity),
        *pooled_lines(manifest.evidence.get("int8_parity_cross_validated")),
    ]


def pooled_lines(pooled: Mapping[str, Any] | None) -> list[str]:
    """INT8 parity over the whole cross-validation; nothing where it was not measured."""
    if not pooled:
        return []
    found = pooled["agreement"]
    return [
        f"**The method**, by cross-validation: over {found['images']} images in {len(pooled['folds'])} folds, each "
        "seen by the INT8 twin of the model that never saw it, on ONNX Runtime: "
        f"|Δp| p99 {found['p99_probability']:.4f}, largest {found['max_probability']:.4f}; RMS Δlogit "
        f"{found['rms_logit_share']:.2%}; {found['flips']} flips (below {found['flip_rate']['high']:.2%}); maps: "
        f"median r {found['cam_median_r']:.4f}, same peak {found['cam_same_peak']:.1%}.",
        "",
    ]


def data_words(parity: Mapping[str, Any]) -> str:
    """Which label files the images came from."""
    return "; ".join(
        f"{source['images']} from `{source['name']}`"
        + (f" where {', '.join(source['where'])}" if source["where"] else "")
        for source in parity["data"]
    )


def parity_row(comparison: Mapping[str, Any]) -> str:
    """One engine and precision as a row of the table."""
    engine, found, worse = comparison["engine"], comparison["agreement"], comparison["inferiority"]
    intervals = (signed(worse[figure]) for figure in ("auc", "sensitivity", "specificity"))
    cells = (
        f"{engine['name']} {engine['precision']}",
        f"{found['p99_probability']:.4f}",
        f"{found['max_probability']:.4f}",
        f"{found['rms_logit_share']:.2%}",
        f"{found['flips']} (below {found['flip_rate']['high']:.2%})",
        *intervals,
        f"{found['cam_median_r']:.4f}",
        f"{found['cam_same_peak']:.1%}",
        "holds" if comparison["passed"] else "**broken**",
    )
    return f"| {' | '.join(cells)} |"


def signed(interval: Mapping[str, Any]) -> str:
    """A difference with its interval."""
    return f"{interval['value']:+.4f} [{interval['low']:+.4f}, {interval['high']:+.4f}]"


def emulation_note(parity: Mapping[str, Any]) -> list[str]:
    """Says what emulated rows prove and what not."""
    if not any(comparison["emulated"] for comparison in parity["comparisons"]):
        return []
    return [
        "*emulation* imitates FP16 arithmetic on a CPU by rounding every stored tensor: it shows that the file is "
        "sound. Engines that were not on the exporting machine have yet to be measured where they run.",
        "",
    ]


def data_table(manifest: Manifest) -> list[str]:
    """How many images and patients the model has seen in each role."""
    rows = [
        f"| {role} | {len(part['images'])} | {len(part['patients'])} |"
        for role, part in manifest.data_use["roles"].items()
    ]
    return ["| role | images | patients |", "|---|---|---|", *rows]


def training_lines(run: Run, manifest: Manifest) -> list[str]:
    """What the run record says of the training."""
    config, record = run.config, run.record
    stages = ", then ".join(f"{stage.epochs} epochs at {stage.size}x{stage.size}" for stage in config.stages)
    return [
        f"- start: {starting_point(record, manifest)}; tuned: {config.tune}",
        f"- {stages}; batches of {config.batch_size}",
        f"- AdamW, one-cycle, peak {config.learning_rate:g}, weight decay {config.weight_decay:g}; exponential average "
        f"of the weights ({config.averaging:g}); dropout {config.dropout:g}",
        *(
            [f"- learned beside the decision, weight {config.laterality:g}: the side that findings are on; not kept"]
            if config.laterality
            else []
        ),
        f"- {config.precision} on {record['device']}, seed {config.seed}, torch {record['versions']['torch']}",
        f"- labels SHA-256 `{record['labels_sha256']}`",
    ]


def starting_point(record: dict[str, Any], manifest: Manifest) -> str:
    """What the training began with, and whether it is known what that had seen."""
    if record["initial"] is None:
        return "random weights"
    if "pretrain" in manifest.data_use["roles"]:
        return "a checkpoint that this project trained on the images of role `pretrain` above"
    return f"the checkpoint `{Path(record['initial']).name}`; **what it has seen is not known and not listed above**"


def operating_point_table(manifest: Manifest) -> list[str]:
    """Name, threshold, and the figures recorded when it was chosen."""
    rows = [
        f"| {point.name}{' (default)' if point.name == manifest.default_operating_point else ''} | "
        f"{point.logit_threshold:.4f} | {point.sensitivity} | {point.specificity} | {point.rule} |"
        for point in manifest.operating_points
    ]
    return ["| name | logit threshold | sensitivity | specificity | rule |", "|---|---|---|---|---|", *rows]
