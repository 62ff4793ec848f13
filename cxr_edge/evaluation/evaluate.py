"""One evaluation: every figure of the release card from labels and logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cxr_edge.evaluation.metrics import DecisionMetrics, brier_score, decision_metrics
from cxr_edge.evaluation.predictions import Predictions
from cxr_edge.evaluation.reliability import (
    CalibrationError,
    CalibrationLine,
    calibration_line,
    expected_calibration_error,
)
from cxr_edge.evaluation.roc import roc_auc
from cxr_edge.evaluation.subgroups import SubgroupTable, subgroup_table
from cxr_edge.probability import Interval, OperatingPoint, Temperature, calibrated_probability

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one set of images at one operating point.

    Attributes:
        images, abnormal, patients: how many there are.
        temperature: that turned logits into probabilities.
        operating_point: that decided, with the figures recorded when it was chosen.
        auc: None when the images have one class.
        decisions: sensitivity, specificity, predictive values, accuracy.
        brier: mean squared error of the probability.
        calibration_error: expected calibration error with its floor.
        calibration_line: slope and intercept; None when the images have one class or a threshold separates the classes.
        subgroups: one table a column asked for.
        stamp: a caveat that every rendering shows first, or None.
    """

    images: int
    abnormal: int
    patients: int
    temperature: Temperature
    operating_point: OperatingPoint
    auc: Interval | None
    decisions: DecisionMetrics
    brier: Interval
    calibration_error: CalibrationError
    calibration_line: CalibrationLine | None
    subgroups: tuple[SubgroupTable, ...] = ()
    stamp: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; figures that do not apply are null, intervals carry their method."""
        record = asdict(self)
        record["temperature"] = self.temperature.value
        return record


def evaluate(
    predictions: Predictions,
    temperature: Temperature,
    operating_point: OperatingPoint,
    subgroup_columns: Sequence[str] = (),
    stamp: str | None = None,
) -> Evaluation:
    """Every figure that these predictions can give; with one class AUC and calibration line are None.

    Args:
        predictions: labels, logits, patients and columns.
        temperature: of the bundle.
        operating_point: of the bundle.
        subgroup_columns: names of columns to tabulate by.
        stamp: a caveat to carry along, such as that the model has seen these images.

    Raises:
        UsageError: a subgroup column that is missing or has too many values.
    """
    labels, logits, patients = predictions.labels, predictions.logits, predictions.patients
    probabilities = calibrated_probability(logits, temperature)
    abnormal = int(labels.sum())
    return Evaluation(
        images=predictions.images,
        abnormal=abnormal,
        patients=predictions.patient_count,
        temperature=temperature,
        operating_point=operating_point,
        auc=roc_auc(labels, logits, patients) if 0 < abnormal < predictions.images else None,
        decisions=decision_metrics(labels, operating_point.is_abnormal(logits), patients),
        brier=brier_score(labels, probabilities, patients),
        calibration_error=expected_calibration_error(labels, probabilities),
        calibration_line=calibration_line(labels, logits / temperature.value, patients),
        subgroups=tuple(
            subgroup_table(predictions, column, temperature, operating_point) for column in subgroup_columns
        ),
        stamp=stamp,
    )
