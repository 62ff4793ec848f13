"""A parity report as one HTML file that someone can read without us: verdict, figures, charts, pictures, explanation.

The page loads nothing from anywhere and runs no script. Text that comes from label files is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from cxr_edge.evaluation.parity.comparison_section import comparison_section
from cxr_edge.evaluation.parity.report import ParityReport
from cxr_edge.evaluation.parity.text import parity_table
from cxr_edge.evaluation.parity.thumbnails import triptychs

__all__ = ["parity_html"]

STYLE = Path(__file__).with_name("page.css")
EXPLANATION = Path(__file__).with_name("explanation.html")

WORST = 10
"""Images shown for each engine and precision."""


def parity_html(report: ParityReport) -> bytes:
    """The page, UTF-8. It shows X-rays and names files: give it only to those who may see them.

    Args:
        report: what to show; the worst images are read again for their pictures.

    Raises:
        CorruptInputError, UnsupportedInputError, ResourceLimitError: an image cannot be read any more.
    """
    worst = [report.worst(comparison, WORST) for comparison in report.comparisons]
    sections = [
        comparison_section(report, comparison, f"c{number}", pictures)
        for number, (comparison, pictures) in enumerate(
            zip(report.comparisons, triptychs(report, worst), strict=True), start=1
        )
    ]
    title = f"Parity of {report.bundle.name} {report.bundle.version}"
    body = [_head(report, title), _overview(report), _data(report), *sections, _rest(report)]
    body += [EXPLANATION.read_text("utf-8"), _end(report)]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE.read_text('utf-8')}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    ).encode()


def _head(report: ParityReport, title: str) -> str:
    banner = "".join(_banners(report))
    made = f"measured {escape(report.created)} · bundle <code>{report.bundle.sha256[:16]}</code>"
    return f'<header><h1>{escape(title)}</h1><p class="sub">{made}</p>{banner}</header>'


def _banners(report: ParityReport) -> Iterator[str]:
    if report.stamp:
        yield f'<div class="verdict warn"><strong>{escape(report.stamp)}</strong></div>'
    count = f"{len(report.images)} images" + ("" if report.stamp else " that nothing was fitted on")
    broken = [comparison for comparison in report.comparisons if not comparison.passed]
    if broken:
        names = ", ".join(comparison.name for comparison in broken)
        limits = sum(len(comparison.broken) for comparison in broken)
        yield (
            f'<div class="verdict bad"><strong>{limits} limit{"s" * (limits > 1)} broken: {escape(names)}</strong>'
            f"Held against {_reference(report)} on {count}; the tables below say which, and by how much.</div>"
        )
    else:
        names = ", ".join(comparison.name for comparison in report.comparisons)
        yield (
            f'<div class="verdict good"><strong>Every measured limit holds</strong>{escape(names)} '
            f"decide{'s' if len(report.comparisons) == 1 else ''} like {_reference(report)} on {count}.</div>"
        )
    if report.unlabelled:
        yield (
            '<div class="verdict warn">AUC, sensitivity, specificity and temperature could not be checked: '
            f"{escape(report.unlabelled)}.</div>"
        )


def _reference(report: ParityReport) -> str:
    return f"{escape(report.reference.precision.upper())} on {escape(report.reference.name)}"


def _overview(report: ParityReport) -> str:
    header, *rows = parity_table(report)
    heads = "".join(f'<th class="n">{escape(cell)}</th>' for cell in header[1:-1])
    body: list[str] = []
    for row, comparison in zip(rows, report.comparisons, strict=True):
        kind, word = ("good", "holds") if comparison.passed else ("bad", "broken")
        # An interval stands below its estimate: in one line ten columns are wider than a page.
        cells = "".join(f'<td class="n">{in_two_lines(cell)}</td>' for cell in row[1:-1])
        name = f'<a href="#c{len(body) + 1}">{escape(row[0])}</a>'
        body.append(f'<tr><td>{name}</td><td><span class="pill {kind}">{word}</span></td>{cells}</tr>')
    return (
        '<h2>At a glance</h2><div class="card scroll"><table class="tight">'
        f"<thead><tr><th></th><th></th>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def in_two_lines(cell: str) -> str:
    """A cell's estimate above its interval, with true minus signs."""
    return escape(cell).replace(" ", "<br>", 1).replace("-", "\u2212")


def _data(report: ParityReport) -> str:
    rows = "".join(
        f"<tr><td>{escape(source.name)}</td><td>{escape(', '.join(source.where) or 'all')}</td>"
        f'<td class="n">{source.images}</td><td><code>{source.sha256}</code></td></tr>'
        for source in report.sources
    )
    head = '<tr><th>label file</th><th>filter</th><th class="n">images</th><th>SHA-256</th></tr>'
    return (
        f'<h2>What was compared</h2><div class="card scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table>'
        f'</div><div class="card">{_facts(_data_facts(report))}</div>'
    )


def _data_facts(report: ParityReport) -> Iterator[tuple[str, str]]:
    labels, point = report.labels, report.operating_point
    abnormal = "" if labels is None else f", of which {int(labels.sum())} abnormal"
    yield "images compared", f"{len(report.images)}{abnormal}"
    undecided = report.comparisons[0].agreement.undecided_share
    yield "hard to keep", f"{undecided:.0%} have a probability between 0.1 and 0.9, where a shift shows"
    if report.refused:
        yield "refused by the input gate", "; ".join(f"{item.name} ({item.reason})" for item in report.refused)
    if report.failed:
        yield "could not be read", "; ".join(f"{item.name} ({item.reason})" for item in report.failed)
    reference = report.reference
    yield "held against", f"{reference.name} {reference.runtime_version}, {reference.computed_as}"
    for precision, sha256 in report.models.items():
        yield f"{precision} model", f"SHA-256 {sha256}"
    yield "operating point", f"{point.name}: abnormal when the logit is at least {point.logit_threshold:.4f}"
    slope = report.calibration_slope
    shown = f"; calibration slope {slope} ({slope.method}); 1 is ideal, more means too high" if slope else ""
    yield "temperature", f"{report.temperature.value:.4f}{shown}"


def _rest(report: ParityReport) -> str:
    if not report.unavailable:
        return ""
    rows = "".join(
        f"<tr><td>{escape(item.engine)}</td><td>{escape(item.precision)}</td><td>{escape(item.reason)}</td></tr>"
        for item in report.unavailable
    )
    head = "<tr><th>engine</th><th>precision</th><th>why not</th></tr>"
    return (
        f'<h2>Not compared</h2><div class="card scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )


def _end(report: ParityReport) -> str:
    machine = report.machine
    engines = sorted({f"{c.engine.name} {c.engine.runtime_version}" for c in report.comparisons})
    facts = (
        ("bundle", f"{report.bundle.name} {report.bundle.version}, manifest SHA-256 {report.bundle.sha256}"),
        ("released", "yes" if report.released else "no: its results are marked"),
        ("cxr-edge", f"{machine.cxr_edge}, preprocessing {machine.preprocessing}"),
        ("engines", "; ".join(engines)),
        ("machine", f"{machine.processor}, {machine.platform}, Python {machine.python}"),
    )
    return (
        f'<h2>Versions</h2><div class="card">{_facts(facts)}</div>'
        "<footer>Research use only: not a medical device, not for diagnosis or treatment decisions.</footer>"
    )


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in facts)}</dl>"
