"""``cxr-edge evaluate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cxr_edge.atomic import output_errors
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
    WhereOption,
)
from cxr_edge.errors import BatchError, UsageError


@app.command()
@reported
def evaluate(
    data: Annotated[Path | None, typer.Option("--data", metavar="CSV", help="Label file of unseen images.")] = None,
    where: WhereOption = None,
    run: Annotated[
        Path | None, typer.Option("--run", metavar="RUN", help="Cross-validated run: the recipe's figures instead.")
    ] = None,
    subgroup: Annotated[
        list[str] | None, typer.Option("--subgroup", metavar="COLUMN", help="Figures by this column; repeatable.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="DIR", help="Write ROC and reliability pictures here.")
    ] = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Measure on seen images; every output is stamped.")
    ] = False,
    bundle: BundleOption = None,
    engine: EngineOption = "auto",
    precision: PrecisionOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = None,
    operating_point: OperatingPointOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Measure a bundle on labelled images that it has not seen, or a training recipe by its cross-validation.

    AUC, sensitivity, specificity, predictive values, accuracy, Brier score and calibration, each with a 95 % interval.
    Images that the bundle was trained or calibrated on are refused with exit code 11.

    Research use only: not for diagnosis.
    """
    if (data is None) == (run is None):
        raise UsageError("give either --data LABELS.csv (a bundle's figures) or --run RUN (a recipe's figures)")
    if run is not None:
        return evaluate_run(run, as_json=as_json)

    from cxr_edge.classifier import Classifier
    from cxr_edge.evaluation import evaluate as evaluate_predictions
    from cxr_edge.evaluation import evaluation_text
    from cxr_edge.evaluation.measure import measure
    from cxr_edge.labels import read_labels

    assert data is not None
    labels = read_labels(data, tuple(where or ()))
    with Classifier.open(
        bundle, engine=engine, precision=precision, device=device, threads=threads, operating_point=operating_point
    ) as classifier:
        measured = measure(classifier, labels, allow_seen=allow_seen)
        evaluation = evaluate_predictions(
            measured.predictions,
            classifier.bundle.manifest.temperature,
            classifier.operating_point,
            tuple(subgroup or ()),
            stamp=measured.stamp,
        )
    if pictures is not None:
        draw(pictures, measured.predictions, evaluation)
    if as_json:
        failed = [{"path": path, "message": failure.message} for path, failure in measured.failed]
        print(json.dumps({**evaluation.to_json(), "refused": measured.refused, "failed": failed}))
    else:
        print(evaluation_text(evaluation))
        if measured.refused:
            print(f"\n{len(measured.refused)} images were refused by the input gate and are not in these figures")
    for path, failure in measured.failed:
        print(f"not classified: {path}: {failure.message}", file=sys.stderr)
    return BatchError.exit_code if measured.failed else 0


def evaluate_run(run: Path, *, as_json: bool) -> int:
    """Print a recipe's figures."""
    from cxr_edge.evaluation.recipe import evaluate_recipe, recipe_text

    recipe = evaluate_recipe(run)
    print(json.dumps(recipe.to_json()) if as_json else recipe_text(recipe))
    return 0


def draw(folder: Path, predictions: object, evaluation: object) -> None:
    """Write both pictures into the folder and say where."""
    from cxr_edge.evaluation import reliability_picture, roc_picture

    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (("roc.png", roc_picture), ("reliability.png", reliability_picture)):
        picture(predictions, evaluation, folder / name)  # type: ignore[arg-type]
        print(f"wrote {folder / name}", file=sys.stderr)
