"""Reliability diagrams of the site's images before and after the fit."""

from __future__ import annotations

from pathlib import Path

from cxr_edge.evaluation import evaluate, reliability_picture
from cxr_edge.probability import OperatingPoint, Temperature
from export.site.fit_bundle import SiteReport

__all__ = ["write_pictures"]


def write_pictures(report: SiteReport, folder: Path) -> tuple[Path, ...]:
    """Write ``reliability-before.png`` and ``reliability-after.png``; the second one is cross-fitted.

    Args:
        report: of the fit.
        folder: that exists.

    Raises:
        UsageError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    fit, seen = report.fit, report.measured.stamp
    cross, old = fit.temperature.cross, fit.temperature_before
    folds = cross.fold_temperatures()
    after = f"after, cross-fitted: temperatures {min(folds):.2f} to {max(folds):.2f}"
    if fit.temperature.kept:
        after = f"after: the parent's temperature {old.value:.2f} stays"
    # Only probabilities are drawn; the point is there because an evaluation has one.
    point = OperatingPoint("0.5", 0.0)
    states = (
        ("before", fit.predictions, old, f"before: temperature {old.value:.2f}"),
        (
            "after",
            cross.calibrated(fit.predictions),
            Temperature(1.0),
            after,
        ),
    )
    written = []
    for name, predictions, temperature, words in states:
        path = folder / f"reliability-{name}.png"
        stamp = words if seen is None else f"{seen}; {words}"
        reliability_picture(predictions, evaluate(predictions, temperature, point, stamp=stamp), path)
        written.append(path)
    return tuple(written)
