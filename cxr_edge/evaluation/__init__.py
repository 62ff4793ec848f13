"""How good a model is, each figure with its 95 % interval: numpy alone, matplotlib only where a picture is drawn."""

from __future__ import annotations

from cxr_edge.evaluation.evaluate import Evaluation, evaluate
from cxr_edge.evaluation.metrics import Confusion, DecisionMetrics, brier_score, decision_metrics
from cxr_edge.evaluation.pictures import reliability_picture, roc_picture
from cxr_edge.evaluation.predictions import Predictions
from cxr_edge.evaluation.reliability import (
    CalibrationError,
    CalibrationLine,
    ReliabilityBin,
    calibration_line,
    expected_calibration_error,
    reliability_bins,
)
from cxr_edge.evaluation.roc import RocCurve, auc_difference, roc_auc, roc_curve
from cxr_edge.evaluation.subgroups import Subgroup, SubgroupTable, subgroup_table
from cxr_edge.evaluation.table import evaluation_text
from cxr_edge.probability import Interval

__all__ = [
    "CalibrationError",
    "CalibrationLine",
    "Confusion",
    "DecisionMetrics",
    "Evaluation",
    "Interval",
    "Predictions",
    "ReliabilityBin",
    "RocCurve",
    "Subgroup",
    "SubgroupTable",
    "auc_difference",
    "brier_score",
    "calibration_line",
    "decision_metrics",
    "evaluate",
    "evaluation_text",
    "expected_calibration_error",
    "reliability_bins",
    "reliability_picture",
    "roc_auc",
    "roc_curve",
    "roc_picture",
    "subgroup_table",
]
