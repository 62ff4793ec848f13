"""``cxr-edge parity``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cxr_edge.atomic import write_atomically
from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import DebugOption, JsonOption, OperatingPointOption, ThreadsOption, WhereOption
from cxr_edge.cli.progress import show_progress
from cxr_edge.cli.report_file import refuse_unwritable
from cxr_edge.cli.workstation import workstation_module
from cxr_edge.errors import BatchError, CheckFailedError


@app.command()
@reported
def parity(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Directory of the bundle.")],
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="CSV[@COLUMN=VALUE]", help="Label file of unseen images; repeatable."),
    ],
    where: WhereOption = None,
    engine: Annotated[
        list[str] | None, typer.Option("--engine", metavar="NAME", help="Only this engine; repeatable.")
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option("--precision", metavar="NAME", help="Only this precision; repeatable.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="Compare with this checkpoint in torch instead.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a self-contained HTML report here.")
    ] = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Measure on seen images; every output is stamped.")
    ] = False,
    threads: ThreadsOption = None,
    operating_point: OperatingPointOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Does every fast model of a bundle decide like its FP32 model? Measured on labelled images it has not seen.

    Compares probabilities, logits, decisions and heatmaps, and, where both classes are there, AUC, sensitivity and
    specificity, with the limits in the bundle. Exit code 11 when a limit does not hold or images were seen; 10 when all
    hold on those images that could be read and that the input gate let through.

    Research use only: not for diagnosis.
    """
    from cxr_edge.bundle import open_bundle
    from cxr_edge.evaluation.parity import measure_parity, parity_html, parity_images, parity_text, report_json

    opened = open_bundle(bundle)
    point = opened.manifest.operating_point(operating_point)
    images = parity_images(data, tuple(where or ()))
    if report is not None:
        refuse_unwritable(report)
    reference = None
    if checkpoint is not None:
        module = workstation_module("export.checkpoint_reference")
        reference = module.CheckpointReference(checkpoint, opened.manifest, threads)
    measured = measure_parity(
        opened,
        images,
        engines=tuple(engine or ()),
        precisions=tuple(precision or ()),
        reference=reference,
        operating_point=point,
        threads=threads,
        allow_seen=allow_seen,
        on_image=show_progress,
    )
    print(json.dumps(report_json(measured)) if as_json else parity_text(measured), flush=True)
    if report is not None:
        write_atomically(report, parity_html(measured))
        print(f"wrote {report}", file=sys.stderr)
    if not measured.passed:
        return CheckFailedError.exit_code
    return BatchError.exit_code if measured.refused or measured.failed else 0
