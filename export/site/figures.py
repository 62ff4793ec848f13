"""A site's fit as evidence: what it was fitted on, and every figure before and after, JSON-ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from calibration.probability import ProbabilityQuality
from calibration.site import FOLDS, PointFigures, SiteFit, advice_on
from cxr_edge.labels import LabelFile
from export.site.measurement import SiteMeasurement

__all__ = ["source_words", "site_json"]


def site_json(site: str, fit: SiteFit, measured: SiteMeasurement) -> dict[str, Any]:
    """The evidence.

    Args:
        site: its name.
        fit: the fit.
        measured: what it was fitted on.
    """
    predictions = fit.predictions
    return {
        "name": site,
        "stamp": measured.stamp,
        "fitted_on": {
            "file": source_words(measured.images),
            "sha256": measured.images.sha256,
            "where": list(measured.images.where),
            "images": predictions.images,
            "abnormal": fit.abnormal,
            "patients": predictions.patient_count,
            "refused": len(measured.refused),
            "failed": len(measured.failed),
            "data_use_role": "site",
        },
        "logits": "fp32 on onnxruntime",
        "cross_fitting": {"folds": FOLDS, "temperatures": list(fit.temperature.cross.fold_temperatures())},
        "auc": asdict(fit.auc),
        "before": _state(fit.temperature_before.value, fit.before, fit.points_before),
        "after_cross_fitted": _state(fit.temperature.value.value, fit.temperature.quality, fit.points_after),
        "best_temperature": fit.temperature.fitted.value,
        "parent_temperature_kept": fit.temperature.kept or None,
        "advice": list(advice_on(fit)),
    }


def source_words(labels: LabelFile) -> str:
    """The label file with its folder: the rest of the path is this machine's."""
    return f"{labels.path.resolve().parent.name}/{labels.path.name}"


def _state(temperature: float, quality: ProbabilityQuality, points: Sequence[PointFigures]) -> dict[str, Any]:
    return {
        "temperature": temperature,
        "probabilities": asdict(quality),
        "operating_points": [asdict(point) for point in points],
    }
