"""A parity report as aligned plain text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cxr_edge.evaluation.parity.report import Comparison, ParityReport
from cxr_edge.evaluation.parity.tolerances import Check
from cxr_edge.probability import Interval

__all__ = ["check_words", "parity_table", "parity_text"]

LISTED = 10
"""Images named under one heading; the rest are counted, and all are in the record."""

Row = tuple[str, ...]
HEADER = (
    "",
    "p99 |Δp|",
    "max |Δp|",
    "RMS Δlogit",
    "flips",
    "ΔAUC [95 %]",
    "Δsens [95 %]",
    "Δspec [95 %]",
    "map r",
    "same peak",
    "",
)


def parity_text(report: ParityReport) -> str:
    """Data, table, what is broken, and which images were left out; no trailing newline."""
    parts = ["\n".join(_heading(report)), _aligned(parity_table(report))]
    parts += ["\n".join(lines) for lines in (list(_notes(report)), list(_left_out(report))) if lines]
    return "\n\n".join(parts)


def parity_table(report: ParityReport) -> list[Row]:
    """The header and one row for each engine and precision."""
    return [HEADER, *(_row(comparison) for comparison in report.comparisons)]


def check_words(check: Check) -> str:
    """A check as a phrase: ``largest |Δp| is 0.0712, allowed at most 0.05``."""
    if check.value is None:
        return f"{check.title}: not measured ({check.missing})"
    hint = f" ({check.hint})" if check.hint else ""
    return f"{check.title} is {check.value:.4g}, allowed {check.sense} {check.limit:g}{hint}"


def _heading(report: ParityReport) -> Iterator[str]:
    if report.stamp:
        yield f"*** {report.stamp} ***"
    yield (
        f"parity of {report.bundle.name} {report.bundle.version} with {report.reference.name} "
        f"{report.reference.precision}: {'every limit holds' if report.passed else 'LIMITS ARE BROKEN'}"
    )
    labels = report.labels
    abnormal = "" if labels is None else f", {int(labels.sum())} abnormal"
    undecided = report.comparisons[0].agreement.undecided_share
    yield f"{len(report.images)} images{abnormal}; {undecided:.0%} have a probability between 0.1 and 0.9"
    for source in report.sources:
        where = f" where {', '.join(source.where)}" if source.where else ""
        yield f"  {source.images} from {source.name}{where} (SHA-256 {source.sha256[:16]}...)"
    point, temperature = report.operating_point, report.temperature.value
    yield f"operating point {point.name}: logit >= {point.logit_threshold:.4f}; temperature {temperature:.4f}"


def _row(comparison: Comparison) -> Row:
    found, worse = comparison.agreement, comparison.inferiority
    return (
        comparison.name,
        f"{found.p99_probability:.4f}",
        f"{found.max_probability:.4f}",
        f"{found.rms_logit_share:.2%}",
        f"{len(found.flips)} (<= {found.flip_rate.high:.2%})",
        _interval(worse.auc if worse else None),
        _interval(worse.sensitivity if worse else None),
        _interval(worse.specificity if worse else None),
        f"{found.cam_median_r:.4f}",
        f"{found.cam_same_peak:.1%}",
        "holds" if comparison.passed else "BROKEN",
    )


def _interval(interval: Interval | None) -> str:
    return "n/a" if interval is None else f"{interval.value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def _notes(report: ParityReport) -> Iterator[str]:
    """What a reader must know about the rows: broken limits, flips by name, looser limits, missing figures."""
    for comparison in report.comparisons:
        yield from (f"{comparison.name}: BROKEN: {check_words(check)}" for check in comparison.broken)
        if comparison.loosened:
            yield f"{comparison.name}: the bundle's limits are looser than usual: {', '.join(comparison.loosened)}"
        yield from _named(f"{comparison.name}: decision flipped", [report.names[i] for i in comparison.agreement.flips])
    if report.unlabelled:
        yield f"no AUC, sensitivity and specificity: {report.unlabelled}"


def _left_out(report: ParityReport) -> Iterator[str]:
    yield from _named("refused by the input gate", [f"{item.name}: {item.reason}" for item in report.refused])
    yield from _named("not read", [f"{item.name}: {item.reason}" for item in report.failed])
    yield from (f"not compared: {item.engine} {item.precision}: {item.reason}" for item in report.unavailable)


def _named(what: str, names: Sequence[str]) -> Iterator[str]:
    yield from (f"{what}: {name}" for name in names[:LISTED])
    if len(names) > LISTED:
        yield f"{what}: {len(names) - LISTED} more"


def _aligned(rows: Sequence[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
