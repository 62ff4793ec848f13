"""``cxr-edge demo``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import BundleOption, DebugOption, EngineOption


@app.command()
@reported
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where samples and heatmaps go.")
    ] = Path("cxr-edge-demo"),
    bundle: BundleOption = None,
    engine: EngineOption = "auto",
    debug: DebugOption = False,
) -> int:
    """Classify sample images with the shipped model and show a table, a JSON line and heatmap pictures.

    The samples are phantoms, drawn by this library: they show that the pipeline works, not how good the model is.

    Research use only: not for diagnosis.
    """
    from cxr_edge.batch import HeatmapWriter, exit_code_of
    from cxr_edge.classifier import Classifier
    from cxr_edge.cli.result_table import ResultTable
    from cxr_edge.demo import write_samples

    paths = write_samples(output)
    writer = HeatmapWriter(output / "heatmaps")
    table = ResultTable()
    written = []
    with Classifier.open(bundle, engine=engine) as classifier:
        for classified in classifier.classify_many(paths):
            result, picture = writer.write(classified)
            table.add(result)
            written.append((result.without_evidence(), picture))
    table.print()
    last, picture = written[-1]
    print("\nThe last one as `cxr-edge classify --json` prints it:")
    print(json.dumps(last.to_json(heatmap=picture)))
    print("\nHeatmaps (red: evidence for abnormal, blue: against):")
    for _, path in written:
        print(f"  {path}")
    return exit_code_of([result for result, _ in written])
