"""``cxr-edge classify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import (
    BundleOption,
    DebugOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    OperatingPointOption,
    PrecisionOption,
    ThreadsOption,
)


@app.command()
@reported
def classify(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="FILE|FOLDER...", help="PNG, JPEG or DICOM files, or folders of them.")
    ],
    bundle: BundleOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    operating_point: OperatingPointOption = None,
    heatmap: Annotated[
        Path | None, typer.Option("--heatmap", metavar="DIR", help="Write a heatmap picture per image here.")
    ] = None,
    frame: Annotated[
        int | None, typer.Option("--frame", metavar="N", help="Frame of a multi-frame DICOM file, from 0.")
    ] = None,
    hash_input: Annotated[bool, typer.Option("--hash", help="Report the SHA-256 of each input.")] = False,
    reduced_decode: Annotated[
        bool,
        typer.Option(
            "--reduced-decode/--full-decode",
            help="Decode large JPEG 2000 frames at 1/2 to 1/8 of their size: faster, but not quite the same numbers.",
        ),
    ] = False,
    no_gate: Annotated[bool, typer.Option("--no-gate", help="Classify whatever it is; the result says so.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Classify chest X-rays: calibrated probability of "abnormal", decision and heatmap.

    Exit code 0 when every image was classified; one image that was not gives its own code (3 corrupt, 4 unsupported,
    5 refused by the input gate, 8 too large); several give 10 when any was not.

    Research use only: not for diagnosis.
    """
    from cxr_edge.batch import HeatmapWriter, exit_code_of, listed_inputs
    from cxr_edge.classifier import Classifier
    from cxr_edge.cli.result_table import ResultTable
    from cxr_edge.decode import REDUCED_SIDE, DecodeLimits

    paths = listed_inputs(inputs)
    writer = HeatmapWriter(heatmap) if heatmap else None
    table = None if as_json else ResultTable()
    results = []
    limits = DecodeLimits(reduce_to=REDUCED_SIDE if reduced_decode else None)
    with Classifier.open(
        bundle,
        engine=engine,
        precision=precision,
        device=device,
        threads=threads,
        operating_point=operating_point,
        gated=not no_gate,
        limits=limits,
    ) as classifier:
        for classified in classifier.classify_many(paths, frame=frame, hash_input=hash_input):
            result, picture = writer.write(classified) if writer else (classified, None)
            if table:
                table.add(result)
            else:
                print(json.dumps(result.to_json(heatmap=picture)), flush=True)
            # A record of thousands of images must not hold their pixels.
            results.append(result.without_evidence())
    if table:
        table.print()
    return exit_code_of(results)
