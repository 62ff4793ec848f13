"""``cxr-edge export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import DebugOption
from cxr_edge.cli.workstation import workstation_module


@app.command()
@reported
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished cross-validation with a release fold.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE", help="Bundle directory to write.")],
    data: Annotated[Path, typer.Option("--data", metavar="CSV", help="The label file that the run was trained on.")],
    name: Annotated[str, typer.Option("--name", help="Name of the model.")] = "cxr-edge",
    version: Annotated[str, typer.Option("--model-version", help="Version of the model.")] = "1",
    subgroup: Annotated[
        list[str] | None, typer.Option("--subgroup", metavar="COLUMN", help="Subgroup table in the model card.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
    debug: DebugOption = False,
) -> None:
    """Turn a training run into a bundle: ONNX checked against torch, thresholds, golden input, evidence, model card.

    Needs the source checkout.

    Research use only: not for diagnosis.
    """
    from cxr_edge.evaluation import evaluation_text
    from cxr_edge.evaluation.recipe import recipe_text

    report = workstation_module("export.release").export_run(
        run,
        data,
        output,
        name=name,
        version=version,
        subgroups=tuple(subgroup or ()),
        force=force,
        on_step=lambda step: print(f"{step} ..."),
    )
    equal = report.equivalence
    print(
        f"ONNX against torch on {equal.images} real images: largest difference {equal.logit:.1e} in a logit, "
        f"{equal.cam:.1e} in a cell of the map\n"
    )
    print(f"this bundle, on the release fold:\n{evaluation_text(report.evaluation)}\n")
    print(f"{recipe_text(report.recipe)}\n")
    print(f"bundle written to {report.destination}")
