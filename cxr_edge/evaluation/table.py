"""An evaluation as aligned plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from cxr_edge.evaluation.evaluate import Evaluation
from cxr_edge.evaluation.metrics import DecisionMetrics
from cxr_edge.evaluation.subgroups import SubgroupTable
from cxr_edge.probability import Interval, calibrated_probability

__all__ = ["evaluation_text"]

NOT_AVAILABLE = "n/a"
Row = tuple[str, ...]


def evaluation_text(evaluation: Evaluation) -> str:
    """The evaluation as lines of text, figures first, then a table for each subgroup column; no trailing newline."""
    parts = [
        _heading(evaluation),
        _aligned([("", "value [95 % interval]", "count", "interval"), *_figures(evaluation)]),
    ]
    parts += [_subgroup_text(table) for table in evaluation.subgroups]
    return "\n\n".join(parts)


def _heading(evaluation: Evaluation) -> str:
    point, temperature = evaluation.operating_point, evaluation.temperature
    threshold = calibrated_probability(point.logit_threshold, temperature)
    lines = [
        f"{evaluation.images} images of {evaluation.patients} patients, {evaluation.abnormal} abnormal "
        f"({evaluation.abnormal / evaluation.images:.1%})",
        f"operating point {point.name}: abnormal when probability >= {threshold:.4f} "
        f"(logit >= {point.logit_threshold:.4f}, temperature {temperature.value:.4f})",
    ]
    return "\n".join([f"*** {evaluation.stamp} ***", *lines] if evaluation.stamp else lines)


def _figures(evaluation: Evaluation) -> list[Row]:
    error, line = evaluation.calibration_error, evaluation.calibration_line
    no_line = "needs both classes, overlapping"
    rows = [_row("AUC", evaluation.auc, missing="needs both classes"), *_decision_rows(evaluation.decisions)]
    rows.append(_row("Brier score", evaluation.brier))
    rows.append(_row("calibration slope", line.slope if line else None, missing=no_line))
    rows.append(_row("calibration intercept", line.intercept if line else None, missing=no_line))
    floor = f"{error.floor:.3f} when perfectly calibrated (95 % below {error.floor_95:.3f})"
    rows.append((f"ECE, {error.bins} bins", f"{error.value:.3f}", "", floor))
    return rows


def _decision_rows(decisions: DecisionMetrics) -> list[Row]:
    c = decisions.confusion
    images = c.true_positive + c.false_negative + c.true_negative + c.false_positive
    return [
        _row("sensitivity", decisions.sensitivity, c.true_positive, c.true_positive + c.false_negative),
        _row("specificity", decisions.specificity, c.true_negative, c.true_negative + c.false_positive),
        _row("PPV", decisions.ppv, c.true_positive, c.true_positive + c.false_positive),
        _row("NPV", decisions.npv, c.true_negative, c.true_negative + c.false_negative),
        _row("accuracy", decisions.accuracy, c.true_positive + c.true_negative, images),
    ]


def _row(
    name: str, interval: Interval | None, part: int | None = None, whole: int | None = None, missing: str = ""
) -> Row:
    count = "" if whole is None else f"{part}/{whole}"
    if interval is None:
        return name, NOT_AVAILABLE, count, missing
    return name, str(interval), count, interval.method


def _subgroup_text(table: SubgroupTable) -> str:
    header = ("", "images", "abnormal", "AUC", "sensitivity", "specificity", "Brier score")
    rows = [
        (
            group.name,
            str(group.images),
            str(group.abnormal),
            *(
                NOT_AVAILABLE if figure is None else str(figure)
                for figure in (group.auc, group.sensitivity, group.specificity, group.brier)
            ),
        )
        for group in table.subgroups
    ]
    return f"by {table.column} ({table.rule})\n" + _aligned([header, *rows])


def _aligned(rows: Sequence[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
