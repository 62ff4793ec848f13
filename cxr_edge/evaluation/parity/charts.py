"""What a parity report draws: Bland-Altman plots, the histogram of Δp, two ROC curves over each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxr_edge.evaluation.parity.svg import Chart
from cxr_edge.evaluation.roc import roc_curve
from cxr_edge.probability import OperatingPoint

__all__ = ["bland_altman", "roc_overlay", "shift_histogram"]

BINS = 41
"""Odd, so that the middle bin of the histogram is centred on no difference at all."""

LIMITS_OF_AGREEMENT = 1.96
"""Standard deviations around the mean difference that hold 95 % of normal differences (Bland and Altman 1986)."""

Floats = NDArray[np.float64]


def bland_altman(
    reference: Floats,
    candidate: Floats,
    unit: str,
    labels: NDArray[np.int64] | None,
    allowed: float | None = None,
) -> Chart:
    """Difference against mean of two measurements of the same images (Bland and Altman, Lancet 1986).

    Args:
        reference: ``[N]``.
        candidate: ``[N]``.
        unit: what they are.
        labels: ``[N]`` colour the points; None leaves them alike.
        allowed: largest difference that a limit allows, drawn on both sides; None for none.
    """
    mean, difference = (reference + candidate) / 2, candidate - reference
    bias, half = float(difference.mean()), LIMITS_OF_AGREEMENT * float(difference.std())
    reach = 1.12 * max(float(np.abs(difference).max()), allowed or 0.0, abs(bias) + half, 1e-9)
    chart = Chart(_padded(mean), (-reach, reach), f"Bland-Altman plot of the {unit}")
    chart.axes(f"mean {unit} of both", f"{unit}: candidate \u2212 FP32")
    if allowed is not None:
        chart.level(allowed, "limit", "allowed").level(-allowed, "limit")
    chart.level(0.0, "zero")
    for css, chosen in _classes(labels, mean.size):
        chart.points(mean[chosen], difference[chosen], css)
    chart.level(bias, "bias", "mean")
    chart.level(bias + half, "agreement", "mean + 1.96 SD").level(bias - half, "agreement")
    return chart


def shift_histogram(shift: Floats, allowed_p99: float, allowed_max: float) -> Chart:
    """How many images moved by how much.

    Args:
        shift: ``[N]`` signed difference of the probabilities.
        allowed_p99: limit of the 99th percentile, drawn on both sides.
        allowed_max: limit of the largest difference, drawn on both sides.
    """
    reach = 1.08 * max(float(np.abs(shift).max()), allowed_max)
    counts, edges = np.histogram(shift, bins=BINS, range=(-reach, reach))
    chart = Chart((-reach, reach), (0.0, 1.08 * float(counts.max())), "histogram of the difference of probabilities")
    chart.axes("Δp: candidate \u2212 FP32", "images").bars(edges.tolist(), counts.tolist(), "bar")
    for sign in (-1, 1):
        chart.upright(sign * allowed_p99, "agreement").upright(sign * allowed_max, "limit")
    return chart


def roc_overlay(
    labels: NDArray[np.int64], reference: Floats, candidate: Floats, operating_point: OperatingPoint
) -> Chart:
    """Both ROC curves with both operating points; the reference's curve is the wide, pale one.

    Args:
        labels: ``[N]`` with both classes.
        reference: ``[N]`` logits.
        candidate: ``[N]`` logits.
        operating_point: marked on both curves.
    """
    chart = Chart((0.0, 1.0), (0.0, 1.0), "ROC curves of the reference and the candidate")
    chart.axes("1 \u2212 specificity", "sensitivity").line((0, 1), (0, 1), "zero")
    for css, logits, radius in (("before", reference, 6.0), ("after", candidate, 3.2)):
        curve = roc_curve(labels, logits)
        chart.line(curve.false_positive_rate.tolist(), curve.sensitivity.tolist(), f"{css}-line")
        called = operating_point.is_abnormal(logits)
        alarms, hits = float(called[labels == 0].mean()), float(called[labels == 1].mean())
        chart.points([alarms], [hits], f"{css}-point", radius)
    return chart


def _classes(labels: NDArray[np.int64] | None, images: int) -> tuple[tuple[str, NDArray[np.bool_]], ...]:
    if labels is None:
        return (("normal", np.ones(images, dtype=bool)),)
    return ("normal", labels == 0), ("abnormal", labels == 1)


def _padded(values: Floats) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    pad = 0.04 * (high - low) or 1e-9
    return low - pad, high + pad
