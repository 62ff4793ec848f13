"""``cxr-edge export``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replaced
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import DebugOption
from cxr_edge.cli.progress import show_progress
from cxr_edge.cli.report_file import refuse_unwritable
from cxr_edge.cli.workstation import workstation_module
from cxr_edge.errors import BundleError, UsageError

if TYPE_CHECKING:
    from cxr_edge.bundle import Tolerances


@app.command()
@reported
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished cross-validation with a release fold.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE", help="Bundle directory to write.")],
    data: Annotated[Path, typer.Option("--data", metavar="CSV", help="The label file that the run was trained on.")],
    name: Annotated[str, typer.Option("--name", help="Name of the model.")] = "cxr-edge",
    version: Annotated[str, typer.Option("--model-version", help="Version of the model.")] = "1",
    precision: Annotated[
        list[str] | None,
        typer.Option("--precision", metavar="NAME", help="Only these, fp32 among them; repeatable. Default: all."),
    ] = None,
    ranges_data: Annotated[
        Path | None,
        typer.Option(
            "--ranges-data", metavar="CSV", help="INT8 ranges from here; default: --data's development folds."
        ),
    ] = None,
    range_images: Annotated[
        int | None, typer.Option("--range-images", metavar="N", help="How many images INT8 ranges come from.")
    ] = None,
    int8_layout: Annotated[
        str | None, typer.Option("--int8-layout", help="Of model.int8.onnx: conv-inputs or all-int8.")
    ] = None,
    int8_rounding: Annotated[
        str | None,
        typer.Option("--int8-rounding", help="Of INT8 weights: nearest, scale-search or output-error."),
    ] = None,
    max_auc_drop: Annotated[
        float | None,
        typer.Option(
            "--max-auc-drop",
            metavar="X",
            help="Keep INT8's worst layers in float until its AUC on the range images is at most X below FP32's.",
        ),
    ] = None,
    max_probability_shift: Annotated[
        float | None,
        typer.Option(
            "--max-probability-shift",
            metavar="X",
            help="The same until no probability of a range image shifts by more than X.",
        ),
    ] = None,
    parity_data: Annotated[
        list[str] | None,
        typer.Option(
            "--parity-data",
            metavar="CSV[@COLUMN=VALUE]",
            help="Unseen images for the parity gate beside the release fold; repeatable.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="Hold parity against this checkpoint in torch instead."),
    ] = None,
    parity_report: Annotated[
        Path | None, typer.Option("--parity-report", metavar="FILE", help="Write the gate's HTML report here.")
    ] = None,
    pooled_parity: Annotated[
        bool, typer.Option("--pooled-parity", help="INT8 parity over the whole cross-validation, too: minutes a fold.")
    ] = False,
    subgroup: Annotated[
        list[str] | None, typer.Option("--subgroup", metavar="COLUMN", help="Subgroup table in the model card.")
    ] = None,
    external_data: Annotated[
        list[str] | None,
        typer.Option(
            "--external-data",
            metavar="CSV[@COLUMN=VALUE]",
            help="Another hospital's unseen images: figures of their own in the model card; repeatable.",
        ),
    ] = None,
    external_subgroup: Annotated[
        list[str] | None,
        typer.Option(
            "--external-subgroup", metavar="COLUMN", help="Subgroup table for --external-data, where it has the column."
        ),
    ] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            "--tolerance",
            metavar="ARTEFACT.LIMIT=VALUE",
            help="Another limit for the parity gate, such as fp16.flip_share=0.005; every report names a looser one.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write it although parity fails, marked as not released.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a bundle that is there.")] = False,
    debug: DebugOption = False,
) -> None:
    """Turn a training run into a bundle: FP32, FP16 and INT8, the parity gate, evidence, model card.

    No bundle is written (exit code 11) unless every precision decides like FP32 on images that nothing was fitted on:
    the release fold and --parity-data. Needs the source checkout.

    Research use only: not for diagnosis.
    """
    from cxr_edge.evaluation import evaluation_text
    from cxr_edge.evaluation.parity import parity_text
    from cxr_edge.evaluation.recipe import recipe_text

    release = workstation_module("export.release")
    if parity_report is not None:
        refuse_unwritable(parity_report)
    release_options = workstation_module("export.release_options")
    chosen = given(layout=int8_layout, rounding=int8_rounding)
    int8 = replaced(release_options.CPU_INT8, **chosen) if chosen else None
    options = release_options.ReleaseOptions(
        name=name,
        version=version,
        ranges_data=ranges_data,
        parity_data=tuple(parity_data or ()),
        checkpoint=checkpoint,
        parity_report=parity_report,
        shift_limits=release_options.ShiftLimits(max_auc_drop, max_probability_shift),
        pooled=pooled_parity,
        subgroups=tuple(subgroup or ()),
        external_data=tuple(external_data or ()),
        external_subgroups=tuple(external_subgroup or ()),
        tolerances=parsed_tolerances(tolerance or ()),
        force=force,
        replace=replace,
        **given(precisions=tuple(precision) if precision else None, range_images=range_images, int8=int8),
    )
    report = release.export_run(
        run, data, output, options, on_step=lambda step: print(f"{step} ..."), on_image=show_progress
    )
    equal = report.equivalence
    print(
        f"ONNX against torch on {equal.images} real images: largest difference {equal.logit:.1e} in a logit, "
        f"{equal.cam:.1e} in a cell of the map\n"
    )
    print(f"this bundle, on the release fold:\n{evaluation_text(report.evaluation)}\n")
    for figures in report.external:
        print(f"this bundle elsewhere, on {figures.name}:\n{evaluation_text(figures.evaluation)}\n")
    print(f"{recipe_text(report.recipe)}\n")
    if report.gate is not None:
        print(f"{parity_text(report.gate.report)}\n")
    released = report.gate is None or report.gate.held
    print(f"bundle written to {report.destination}{'' if released else ', marked as NOT RELEASED'}")


def given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others keep their default, which lives with what they are options of."""
    return {name: value for name, value in options.items() if value is not None}


def parsed_tolerances(settings: Sequence[str]) -> dict[str, Tolerances]:
    """Limits by artefact, from ``ARTEFACT.LIMIT=VALUE`` each.

    Raises:
        UsageError: an unknown artefact or limit, or no number in the range that the limit may have.
    """
    from cxr_edge.bundle import Tolerances
    from cxr_edge.evaluation.parity import DEFAULT_TOLERANCES

    chosen: dict[str, Tolerances] = {}
    for setting in settings:
        place, _, value = setting.partition("=")
        artefact, _, limit = place.partition(".")
        usual = chosen.get(artefact, DEFAULT_TOLERANCES.get(artefact))
        if usual is None or limit not in usual.to_json():
            names = ", ".join(DEFAULT_TOLERANCES)
            raise UsageError(f"--tolerance {setting}: give ARTEFACT.LIMIT=VALUE, the artefact one of {names}")
        try:
            chosen[artefact] = Tolerances.from_json({**usual.to_json(), limit: float(value)}, artefact)
        except (ValueError, BundleError) as error:
            raise UsageError(f"--tolerance {setting}: {error}") from error
    return chosen
