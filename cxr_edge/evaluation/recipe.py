"""How good a training *recipe* is: its cross-validated models, each judged on the fold that it never saw.

Reads the ``out_of_fold.csv`` that a finished cross-validation leaves in its run folder. There every image carries the
temperature and threshold that were fitted on other development folds, so nothing here is chosen on what it reports.
"""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.intervals import ALPHA, beta_quantile
from cxr_edge.evaluation.metrics import DecisionMetrics, brier_score, decision_metrics
from cxr_edge.evaluation.reliability import CalibrationLine, calibration_line
from cxr_edge.evaluation.roc import roc_auc
from cxr_edge.probability import Interval, Temperature, calibrated_probability

__all__ = ["OUT_OF_FOLD", "FoldFigures", "RecipeEvaluation", "evaluate_recipe", "recipe_text"]

OUT_OF_FOLD = "out_of_fold.csv"


@dataclass(frozen=True, slots=True)
class FoldFigures:
    """One model on its own held-out fold; ``images`` counts them, ``accuracy`` is at the cross-fitted threshold."""

    fold: str
    images: int
    auc: Interval
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class RecipeEvaluation:
    """A recipe's cross-validated figures.

    Attributes:
        folds: each fold's own.
        auc: pooled over folds on calibrated logits, each model with its own cross-fitted temperature.
        mean_auc: mean of the folds' AUCs with a t-interval over folds: how much the split matters.
        decisions: pooled, at cross-fitted thresholds.
        brier: pooled, of cross-fitted probabilities.
        calibration_line: pooled; None when the classes are separated.
        left_out: the release fold, when it is not in these figures.
    """

    folds: tuple[FoldFigures, ...]
    auc: Interval
    mean_auc: Interval
    decisions: DecisionMetrics
    brier: Interval
    calibration_line: CalibrationLine | None
    left_out: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """The columns of ``out_of_fold.csv``, n rows each."""

    folds: NDArray[np.str_]
    patients: tuple[str, ...]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    temperatures: NDArray[np.float64]
    thresholds: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> OutOfFold:
        """The table in a file.

        Raises:
            DatasetError: no such file, or not such a table.
        """
        try:
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            return cls(
                folds=np.array([row["fold"] for row in rows]),
                patients=tuple(row["patient"] for row in rows),
                labels=np.array([int(row["label"]) for row in rows]),
                logits=np.array([float(row["logit"]) for row in rows]),
                temperatures=np.array([float(row["temperature"]) for row in rows]),
                thresholds=np.array([float(row["logit_threshold"]) for row in rows]),
            )
        except FileNotFoundError as error:
            raise DatasetError(
                f"{path.parent} has no {path.name}: it is not a finished cross-validation; "
                "run `cxr-edge train --cross-validate` to its end"
            ) from error
        except (OSError, KeyError, ValueError) as error:
            raise DatasetError(f"{path} is not a table of out-of-fold predictions: {error}") from error

    def without_fold(self, fold: str) -> OutOfFold:
        """The rows of the other folds."""
        kept = self.folds != fold
        return OutOfFold(
            folds=self.folds[kept],
            patients=tuple(patient for patient, keep in zip(self.patients, kept, strict=True) if keep),
            labels=self.labels[kept],
            logits=self.logits[kept],
            temperatures=self.temperatures[kept],
            thresholds=self.thresholds[kept],
        )


def evaluate_recipe(run: Path, *, with_release_fold: bool = False) -> RecipeEvaluation:
    """Figures of a finished cross-validation.

    Args:
        run: the run's folder.
        with_release_fold: count the release fold in. Recipes are chosen without it; it belongs in the last report.

    Raises:
        DatasetError: the folder holds no finished cross-validation.
    """
    table = OutOfFold.read(run / OUT_OF_FOLD)
    left_out = None if with_release_fold else recorded_release_fold(run)
    if left_out is not None:
        table = table.without_fold(left_out)
    if len(set(table.folds.tolist())) < 2:
        raise DatasetError(f"{run / OUT_OF_FOLD} has fewer than two folds; it is no cross-validation")
    calibrated = table.logits / table.temperatures
    abnormal = table.logits >= table.thresholds
    folds = tuple(fold_figures(fold, table, calibrated, abnormal) for fold in sorted(set(table.folds.tolist())))
    probabilities = calibrated_probability(calibrated, Temperature(1.0))
    return RecipeEvaluation(
        folds=folds,
        auc=roc_auc(table.labels, calibrated, table.patients),
        mean_auc=mean_over_folds([fold.auc.value for fold in folds]),
        decisions=decision_metrics(table.labels, abnormal, table.patients),
        brier=brier_score(table.labels, probabilities, table.patients),
        calibration_line=calibration_line(table.labels, calibrated, table.patients),
        left_out=left_out,
    )


def recorded_release_fold(run: Path) -> str | None:
    """The release fold that the run's record names, or None.

    Raises:
        DatasetError: the record cannot be read.
    """
    try:
        fold = json.loads((run / "run.json").read_text())["release_fold"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{run} has no readable run.json that names its release fold ({error})") from error
    return None if fold is None else str(fold)


def fold_figures(
    fold: str, table: OutOfFold, calibrated: NDArray[np.float64], abnormal: NDArray[np.bool_]
) -> FoldFigures:
    """AUC and accuracy of one fold."""
    chosen = table.folds == fold
    patients = tuple(patient for patient, here in zip(table.patients, chosen, strict=True) if here)
    labels = table.labels[chosen]
    accuracy = decision_metrics(labels, abnormal[chosen], patients).accuracy
    return FoldFigures(fold, int(chosen.sum()), roc_auc(labels, calibrated[chosen], patients), accuracy)


def mean_over_folds(values: Sequence[float]) -> Interval:
    """Mean of the figures of two folds or more with a 95 % t-interval, cut to 0..1."""
    mean = statistics.fmean(values)
    half = student_t_quantile(len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return Interval(mean, max(mean - half, 0.0), min(mean + half, 1.0), f"t over {len(values)} folds")


def student_t_quantile(freedom: int) -> float:
    """What Student's t exceeds in absolute value with a probability of 5 %.

    ``freedom / (freedom + t^2)`` follows Beta(freedom / 2, 1 / 2).

    Args:
        freedom: degrees of freedom, at least 1.
    """
    share = beta_quantile(ALPHA, freedom / 2, 0.5)
    return math.sqrt(freedom * (1 - share) / share)


def recipe_text(recipe: RecipeEvaluation) -> str:
    """The figures as lines of text."""
    decisions, line = recipe.decisions, recipe.calibration_line
    rows = [
        ("AUC, pooled", recipe.auc),
        ("AUC, mean over folds", recipe.mean_auc),
        ("accuracy", decisions.accuracy),
        ("sensitivity", decisions.sensitivity),
        ("specificity", decisions.specificity),
        ("Brier score", recipe.brier),
        ("calibration slope", line.slope if line else "n/a"),
    ]
    images = sum(fold.images for fold in recipe.folds)
    heading = f"recipe, cross-validated: {images} images in {len(recipe.folds)} folds, thresholds fitted on other folds"
    if recipe.left_out is not None:
        heading += f"; release fold {recipe.left_out} left out (--with-release-fold counts it in)"
    return "\n".join(
        [
            heading,
            *(f"{name:<22}{value}" for name, value in rows),
            "",
            *(f"fold {f.fold}: {f.images} images, AUC {f.auc}, accuracy {f.accuracy}" for f in recipe.folds),
        ]
    )
