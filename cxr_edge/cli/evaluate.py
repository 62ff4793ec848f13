"""``cxr-edge evaluate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from cxr_edge.evaluation import Evaluation, Predictions
    from cxr_edge.evaluation.measure import Measurement


@app.command()
@reported
def evaluate(
    data: Annotated[Path | None, typer.Option("--data", metavar="CSV", help="Label file of unseen images.")] = None,
    where: WhereOption = None,
    run: Annotated[
        Path | None, typer.Option("--run", metavar="RUN", help="Cross-validated run: the recipe's figures instead.")
    ] = None,
    with_release_fold: Annotated[
        bool, typer.Option("--with-release-fold", help="With --run: count the release fold in; not for choosing.")
    ] = False,
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
    Images that the bundle was trained or calibrated on are refused with exit code 11. Figures that leave images out,
    because the input gate refused them or they cannot be read, are printed with exit code 10.

    Research use only: not for diagnosis.
    """
    if (data is None) == (run is None):
        raise UsageError("give either --data LABELS.csv (a bundle's figures) or --run RUN (a recipe's figures)")
    if run is not None:
        refuse_beside_run(
            {
                "--where": where,
                "--subgroup": subgroup,
                "--pictures": pictures,
                "--allow-seen": allow_seen,
                "--bundle": bundle,
                "--engine": engine != "auto",
                "--precision": precision,
                "--device": device,
                "--threads": threads is not None,
                "--operating-point": operating_point,
            }
        )
        return evaluate_run(run, with_release_fold=with_release_fold, as_json=as_json)

    from cxr_edge.classifier import Classifier
    from cxr_edge.evaluation import evaluate as evaluate_predictions
    from cxr_edge.evaluation.measure import measure
    from cxr_edge.labels import read_labels

    assert data is not None
    labels = read_labels(data, tuple(where or ()))
    # Whatever can be wrong with the request is found before the images are classified, which may take hours.
    for column in subgroup or ():
        labels.column(column)
    if pictures is not None:
        prepare(pictures)
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
    show(evaluation, measured, as_json=as_json)
    if pictures is not None:
        draw(pictures, measured.predictions, evaluation)
    return BatchError.exit_code if measured.refused or measured.failed else 0


def refuse_beside_run(options: Mapping[str, object]) -> None:
    """Return when none of these options was given: a recipe's figures were made when it was trained.

    Raises:
        UsageError: some were.
    """
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(f"{', '.join(given)}: for --data only; --run reports what cross-validation recorded")


def evaluate_run(run: Path, *, with_release_fold: bool, as_json: bool) -> int:
    """Print a recipe's figures."""
    from cxr_edge.evaluation.recipe import evaluate_recipe, recipe_text

    recipe = evaluate_recipe(run, with_release_fold=with_release_fold)
    print(json.dumps(recipe.to_json()) if as_json else recipe_text(recipe))
    return 0


def show(evaluation: Evaluation, measured: Measurement, *, as_json: bool) -> None:
    """Print a bundle's figures and which images are not in them."""
    from cxr_edge.evaluation import evaluation_text

    if as_json:
        failed = [{"path": path, "message": failure.message} for path, failure in measured.failed]
        print(json.dumps({**evaluation.to_json(), "refused": measured.refused, "failed": failed}))
    else:
        print(evaluation_text(evaluation))
        if measured.refused:
            print(f"\n{len(measured.refused)} images were refused by the input gate and are not in these figures")
    for path, failure in measured.failed:
        print(f"not classified: {path}: {failure.message}", file=sys.stderr)


def prepare(folder: Path) -> None:
    """Make the folder for the pictures.

    Raises:
        UsageError: matplotlib, which draws them, is not installed.
        OutputError: the folder cannot be made.
    """
    if find_spec("matplotlib") is None:
        raise UsageError("pictures need matplotlib: pip install 'cxr-edge[workstation]'")
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def draw(folder: Path, predictions: Predictions, evaluation: Evaluation) -> None:
    """Write both pictures into the folder and say where."""
    from cxr_edge.evaluation import reliability_picture, roc_picture

    for name, picture in (("roc.png", roc_picture), ("reliability.png", reliability_picture)):
        picture(predictions, evaluation, folder / name)
        print(f"wrote {folder / name}", file=sys.stderr)
