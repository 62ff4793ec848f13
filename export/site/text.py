"""A site's fit as aligned plain text: before and after side by side, then what to conclude."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.probability import ProbabilityQuality
from calibration.site import FOLDS, PointFigures, SiteFit, advice_on
from cxr_edge.probability import Interval, Temperature, calibrated_probability
from export.site.measurement import SiteMeasurement

__all__ = ["site_text"]

NOT_AVAILABLE = "n/a"
Row = tuple[str, ...]


def site_text(fit: SiteFit, measured: SiteMeasurement) -> str:
    """Heading, probabilities, operating points, advice; no trailing newline."""
    parts = [
        "\n".join(_heading(fit, measured)),
        _aligned(_probabilities(fit)),
        _aligned(_points(fit)),
    ]
    advice = advice_on(fit)
    if advice:
        parts.append("\n".join(f"! {sentence}" for sentence in advice))
    return "\n\n".join(parts)


def _heading(fit: SiteFit, measured: SiteMeasurement) -> list[str]:
    images = fit.predictions.images
    lines = [
        f"{images} images of {fit.predictions.patient_count} patients, {fit.abnormal} abnormal "
        f"({fit.abnormal / images:.1%}); {len(measured.refused)} refused by the input gate, {len(measured.failed)} not "
        "read",
        f"AUC {fit.auc} ({fit.auc.method}); neither temperature nor threshold changes it",
        f"'after' is cross-fitted: each image judged by a fit on the other {FOLDS - 1} of {FOLDS} folds of patients",
    ]
    return [f"*** {measured.stamp} ***", *lines] if measured.stamp else lines


def _probabilities(fit: SiteFit) -> list[Row]:
    folds, value = fit.temperature.cross.fold_temperatures(), fit.temperature.value.value
    spread = f"({min(folds):.2f} to {max(folds):.2f} over folds)" if not fit.temperature.kept else "(the parent's)"
    before, after = _quality(fit.before), _quality(fit.temperature.quality)
    return [
        ("probabilities", "before", "after"),
        ("temperature", f"{fit.temperature_before.value:.4f}", f"{value:.4f} {spread}"),
        *((name, old, new) for (name, old), (_, new) in zip(before, after, strict=True)),
    ]


def _quality(quality: ProbabilityQuality) -> list[tuple[str, str]]:
    line, error = quality.line, quality.calibration_error
    return [
        ("Brier score", str(quality.brier)),
        ("calibration slope", _interval(line.slope if line else None)),
        ("calibration intercept", _interval(line.intercept if line else None)),
        (f"ECE, {error.bins} bins", f"{error.value:.3f} (95 % below {error.floor_95:.3f} when calibrated)"),
        ("negative log-likelihood", f"{quality.negative_log_likelihood:.4f}"),
    ]


def _points(fit: SiteFit) -> list[Row]:
    header = ("operating point", "logit >=", "probability >=", "sensitivity", "specificity", "PPV", "NPV", "accuracy")
    return [
        header,
        *_point_rows("before", fit.points_before, fit.temperature_before),
        *_point_rows("after", fit.points_after, fit.temperature.value),
    ]


def _point_rows(when: str, points: Sequence[PointFigures], temperature: Temperature) -> list[Row]:
    return [
        (
            f"{when}: {point.name}",
            f"{point.logit_threshold:.4f}",
            f"{calibrated_probability(point.logit_threshold, temperature):.4f}",
            *(
                _interval(figure)
                for figure in (
                    point.decisions.sensitivity,
                    point.decisions.specificity,
                    point.decisions.ppv,
                    point.decisions.npv,
                    point.decisions.accuracy,
                )
            ),
        )
        for point in points
    ]


def _interval(interval: Interval | None) -> str:
    return NOT_AVAILABLE if interval is None else str(interval)


def _aligned(rows: Sequence[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
