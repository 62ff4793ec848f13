"""A parity report as JSON: versioned, at full precision, with what every model gave for every image."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cxr_edge.data_use import HASH_DIGITS, image_sha256
from cxr_edge.evaluation.parity.report import Comparison, ParityReport
from cxr_edge.evaluation.parity.tolerances import Check

__all__ = ["RECORD_SCHEMA", "report_json", "summary_json"]

RECORD_SCHEMA = 1
"""Version of the record; it grows when a field changes its meaning or goes."""


def report_json(report: ParityReport, *, named: bool = True) -> dict[str, Any]:
    """The whole report, JSON-ready.

    Args:
        report: to write down.
        named: call images by data set and file; otherwise by the first 16 digits of the SHA-256 of the file, as
            ``manifest.data_use`` does, for records that leave the house. Reads every image file then.

    Raises:
        DatasetError: an image cannot be read any more.
    """
    names = report.names if named else tuple(image_sha256(image.path)[:HASH_DIGITS] for image in report.images)
    return {
        **summary_json(report),
        "comparisons": [_comparison(report, comparison, names) for comparison in report.comparisons],
        "images": [
            {
                "name": name,
                "label": image.label,
                "logit": [float(logit), *(float(c.outputs.logits[position]) for c in report.comparisons)],
            }
            for position, (name, image, logit) in enumerate(
                zip(names, report.images, report.reference_outputs.logits, strict=True)
            )
        ],
        "refused": [asdict(left) for left in report.refused] if named else len(report.refused),
        "failed": [asdict(left) for left in report.failed] if named else len(report.failed),
    }


def summary_json(report: ParityReport) -> dict[str, Any]:
    """The report without anything about single images, JSON-ready: what a manifest and its card quote."""
    labels = report.labels
    return {
        "schema": RECORD_SCHEMA,
        "passed": report.passed,
        "stamp": report.stamp,
        "created": report.created,
        "bundle": asdict(report.bundle),
        "models": dict(report.models),
        "reference": asdict(report.reference),
        "temperature": report.temperature.value,
        "operating_point": report.operating_point.to_json(),
        "data": [asdict(source) for source in report.sources],
        "compared": len(report.images),
        "abnormal": None if labels is None else int(labels.sum()),
        "refused": len(report.refused),
        "failed": len(report.failed),
        "unlabelled": report.unlabelled or None,
        "calibration_slope": None if report.calibration_slope is None else report.calibration_slope.to_json(),
        "comparisons": [_figures(comparison) for comparison in report.comparisons],
        "unavailable": [asdict(item) for item in report.unavailable],
        "machine": asdict(report.machine),
    }


def _figures(comparison: Comparison) -> dict[str, Any]:
    """One comparison without its images: flips are counted, not listed."""
    agreement = asdict(comparison.agreement)
    agreement["flips"] = len(comparison.agreement.flips)
    return {
        "engine": asdict(comparison.engine),
        "emulated": comparison.emulated,
        "passed": comparison.passed,
        "loosened": list(comparison.loosened),
        "agreement": agreement,
        "inferiority": None if comparison.inferiority is None else asdict(comparison.inferiority),
        "checks": [_check(check) for check in comparison.checks],
    }


def _comparison(report: ParityReport, comparison: Comparison, names: tuple[str, ...]) -> dict[str, Any]:
    """One comparison with its flipped images by name."""
    moved = report.probabilities(comparison.outputs) - report.probabilities(report.reference_outputs)
    flips = [
        {
            "name": names[position],
            "label": report.images[position].label,
            "logit": [float(report.reference_outputs.logits[position]), float(comparison.outputs.logits[position])],
            "probability_difference": float(moved[position]),
        }
        for position in comparison.agreement.flips
    ]
    return {**_figures(comparison), "flipped": flips}


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "value": check.value,
        "must_be": check.sense,
        "limit": check.limit,
        "held": check.held,
        "missing": check.missing or None,
    }
