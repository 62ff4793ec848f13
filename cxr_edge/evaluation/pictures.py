"""ROC curve and reliability diagram as PNG files.

matplotlib comes with the extra ``workstation`` and is imported only here, only when a picture is drawn, and without
pyplot: no global figure list, no back end chosen for the rest of the process.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import UsageError
from cxr_edge.evaluation.evaluate import Evaluation
from cxr_edge.evaluation.predictions import Predictions
from cxr_edge.evaluation.reliability import ReliabilityBin, reliability_bins
from cxr_edge.evaluation.roc import roc_curve
from cxr_edge.probability import Interval, calibrated_probability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["reliability_picture", "roc_picture"]

INK, GRID, CURVE, POINT, NORMAL = "#22303c", "#d9dfe4", "#1f6fb2", "#c8442b", "#8fa3b3"
UNIT = (-0.02, 1.02)
LINE_POINTS = 14
DOTS_PER_INCH = 150


def roc_picture(predictions: Predictions, evaluation: Evaluation, path: Path) -> None:
    """Write the ROC curve with its AUC and the operating point, whose intervals are drawn as a cross.

    Args:
        predictions: labels and logits that ``evaluation`` was made from.
        evaluation: gives AUC, operating point and stamp.
        path: PNG file to write; replaced only when the picture is complete.

    Raises:
        DatasetError: the images have one class.
        UsageError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    curve = roc_curve(predictions.labels, predictions.logits)
    figure = _figure(height=5.9)
    axes = figure.add_subplot(xlabel="False-positive rate (1 - specificity)", ylabel="Sensitivity")
    _plain(axes)
    _unit_square(axes)
    axes.plot(curve.false_positive_rate, curve.sensitivity, color=CURVE, linewidth=2, label=f"AUC {evaluation.auc}")
    axes.fill_between(curve.false_positive_rate, curve.sensitivity, color=CURVE, alpha=0.08, linewidth=0)
    sensitivity, specificity = evaluation.decisions.sensitivity, evaluation.decisions.specificity
    if sensitivity is not None and specificity is not None:
        _operating_point(axes, evaluation.operating_point.name, sensitivity, specificity)
    axes.legend(loc="lower right", frameon=False, fontsize=9, labelcolor=INK)
    _title(axes, "ROC curve", evaluation)
    _save(figure, path)


def reliability_picture(predictions: Predictions, evaluation: Evaluation, path: Path) -> None:
    """Write the reliability diagram: observed against promised share of abnormal images, and where the images lie.

    Args:
        predictions: labels and logits that ``evaluation`` was made from.
        evaluation: gives temperature, calibration figures and stamp.
        path: PNG file to write; replaced only when the picture is complete.

    Raises:
        UsageError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    figure = _figure(height=7.9)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.set_ylabel("Observed share of abnormal images")
    for part in (axes, below):
        _plain(part)
    _unit_square(axes)
    probabilities = calibrated_probability(predictions.logits, evaluation.temperature)
    for group in reliability_bins(predictions.labels, probabilities, predictions.patients):
        _bin(axes, group)
    _title(axes, "Reliability", evaluation, _calibration_lines(evaluation))
    _histogram(below, predictions.labels, probabilities)
    _save(figure, path)


def _bin(axes: Axes, group: ReliabilityBin) -> None:
    """One bin: point, interval, number of images."""
    promised, observed = group.mean_probability, group.observed
    axes.plot([promised] * 2, [observed.low, observed.high], color=CURVE, linewidth=1.4, alpha=0.6)
    axes.plot(promised, observed.value, "o", color=CURVE, markersize=6)
    axes.annotate(
        str(group.images),
        (promised, observed.value),
        xytext=(6, -4),
        textcoords="offset points",
        fontsize=8,
        color=INK,
    )


def _operating_point(axes: Axes, name: str, sensitivity: Interval, specificity: Interval) -> None:
    alarms = 1.0 - specificity.value
    axes.plot([1 - specificity.high, 1 - specificity.low], [sensitivity.value] * 2, color=POINT, linewidth=1.6)
    axes.plot([alarms] * 2, [sensitivity.low, sensitivity.high], color=POINT, linewidth=1.6)
    label = f"{name}:\nsensitivity {sensitivity}\nspecificity {specificity}"
    axes.plot(alarms, sensitivity.value, "o", color=POINT, markersize=7, label=label)


def _calibration_lines(evaluation: Evaluation) -> tuple[str, ...]:
    """Above the diagram rather than in it, where they could hide an interval."""
    error, line = evaluation.calibration_error, evaluation.calibration_line
    lines = [f"Brier score {evaluation.brier}     ECE {error.value:.3f}, floor {error.floor:.3f}"]
    if line is not None:
        lines.append(f"slope {line.slope}     intercept {line.intercept}")
    return (*lines, "bars: 95 % interval; numbers: images")


def _histogram(axes: Axes, labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> None:
    """How many normal and abnormal images have which probability."""
    axes.hist(
        [probabilities[labels == 0], probabilities[labels == 1]],
        bins=list(np.linspace(0, 1, 21)),
        stacked=True,
        color=[NORMAL, POINT],
        label=["normal", "abnormal"],
        rwidth=0.9,
    )
    axes.set(xlim=UNIT, xlabel="Calibrated probability of abnormal", ylabel="Images")
    axes.legend(loc="upper center", frameon=False, fontsize=8, labelcolor=INK, ncols=2)


def _figure(height: float) -> Figure:
    """An empty figure, 5.8 inches wide and ``height`` inches high."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise UsageError("pictures need matplotlib: pip install 'cxr-edge[workstation]'") from error
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    return Figure(figsize=(5.8, height), layout=layout, facecolor="white")


def _unit_square(axes: Axes) -> None:
    """Both axes from 0 to 1 with the diagonal."""
    axes.set(xlim=UNIT, ylim=UNIT)
    axes.plot([0, 1], [0, 1], color=NORMAL, linewidth=1, linestyle=(0, (4, 4)))


def _plain(axes: Axes) -> None:
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9, length=0)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(NORMAL)


def _title(axes: Axes, name: str, evaluation: Evaluation, lines: tuple[str, ...] = ()) -> None:
    """Title, stamp and some lines, from the top down to the upper edge of the axes."""
    for row, line in enumerate(reversed(lines)):
        _line_above(axes, row, line, INK, "normal")
    rows = len(lines)
    if evaluation.stamp:
        _line_above(axes, rows, evaluation.stamp, POINT, "bold")
        rows += 1
    counts = f"{evaluation.images} images, {evaluation.abnormal} abnormal"
    axes.set_title(f"{name} · {counts}", loc="left", fontsize=11, color=INK, pad=8 + LINE_POINTS * rows)


def _line_above(axes: Axes, row: int, text: str, colour: str, weight: str) -> None:
    """One line of text above the axes; row 0 is the lowest."""
    place = (0, 6 + LINE_POINTS * row)
    style: dict[str, Any] = {"fontsize": 9, "color": colour, "weight": weight}
    axes.annotate(text, (0, 1), xytext=place, xycoords="axes fraction", textcoords="offset points", **style)


def _save(figure: Figure, path: Path) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    write_atomically(path, drawn.getvalue())
