"""``cxr-edge index``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import DebugOption
from cxr_edge.cli.workstation import workstation_module


@app.command()
@reported
def index(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A data set as its publisher ships it.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="CSV", help="Label file to write.")],
    kind: Annotated[str, typer.Option("--kind", help="shenzhen, montgomery, nih, or auto to recognise it.")] = "auto",
    folds: Annotated[int, typer.Option("--folds", help="Folds for cross-validation, patient-disjoint.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Of the folds and the validation split.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing label file.")] = False,
    debug: DebugOption = False,
) -> None:
    """Write a labels.csv for the NLM Shenzhen or Montgomery folders or the NIH ChestX-ray14 release.

    Needs the source checkout.

    Research use only: not for diagnosis.
    """
    report = workstation_module("training.index").index_dataset(
        kind, folder, output, folds=folds, seed=seed, force=force
    )
    print(report_text(report))


def report_text(report: Any) -> str:
    """What an `IndexReport` says, as lines of text."""
    lines = [f"{report.kind}: {report.rows} images of {report.patients} patients written to {report.output}"]
    for name, counts in {"all": report.class_counts, **report.part_counts}.items():
        lines.append(f"  {name}: " + ", ".join(f"{count} {label}" for label, count in counts.items()))
    lines += [f"warning: {warning}" for warning in report.warnings]
    lines += [f"skipped {skipped.name}: {skipped.reason}" for skipped in report.skipped[:20]]
    if len(report.skipped) > 20:
        lines.append(f"... and {len(report.skipped) - 20} more")
    return "\n".join(lines)
