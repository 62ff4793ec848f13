"""The part of the HTML report about one engine and precision: limits, charts, flips, the images that moved most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from cxr_edge.evaluation.parity.charts import bland_altman, roc_overlay, shift_histogram
from cxr_edge.evaluation.parity.report import Comparison, ParityReport
from cxr_edge.evaluation.parity.thumbnails import Triptych
from cxr_edge.evaluation.parity.tolerances import Check

__all__ = ["comparison_section"]

PILLS = {True: ("good", "holds"), False: ("bad", "broken"), None: ("warn", "not measured")}


def comparison_section(
    report: ParityReport, comparison: Comparison, identity: str, pictures: Mapping[int, Triptych]
) -> str:
    """The section as HTML.

    Args:
        report: the whole report.
        comparison: one of its comparisons.
        identity: unique in the page.
        pictures: X-ray and both heatmaps of the worst images, by position, worst first.
    """
    engine = comparison.engine
    ran = f"{engine.name} {engine.runtime_version} on {engine.device}: {engine.computed_as}"
    return "".join(
        (
            f'<section id="{identity}"><h2>{escape(comparison.name)} {pill(comparison.passed)}</h2>',
            f'<p class="soft">{escape(ran)}</p>',
            *_caveats(comparison),
            _limits(comparison),
            f'<div class="charts">{"".join(_charts(report, comparison, identity))}</div>',
            _flips(report, comparison),
            "<h3>Moved most</h3>",
            f'<div class="worst">{"".join(_worst(report, comparison, pictures))}</div></section>',
        )
    )


def pill(held: bool | None) -> str:
    """A coloured word for an outcome."""
    kind, word = PILLS[held]
    return f'<span class="pill {kind}">{word}</span>'


def _caveats(comparison: Comparison) -> Iterator[str]:
    if comparison.emulated:
        yield (
            '<div class="verdict warn">Emulated: this imitates the arithmetic of engines that are not on this machine; '
            "those engines have yet to be measured.</div>"
        )
    if comparison.loosened:
        names = escape(", ".join(comparison.loosened))
        yield f'<div class="verdict warn">These limits of the bundle are looser than usual: {names}.</div>'


def _limits(comparison: Comparison) -> str:
    rows = "".join(_limit_row(check) for check in comparison.checks)
    head = '<tr><th>limit</th><th class="n">measured</th><th class="n">allowed</th><th></th></tr>'
    return f'<div class="card scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _limit_row(check: Check) -> str:
    value = escape(check.missing) if check.value is None else f"{check.value:.4g}"
    numbers = f'<td class="n">{value}</td><td class="n">{check.sense} {check.limit:g}</td>'.replace("-", "\u2212")
    hint = f'<br><span class="soft">{escape(check.hint)}</span>' if check.hint else ""
    return f"<tr><td>{escape(check.title)}{hint}</td>{numbers}<td>{pill(check.held)}</td></tr>"


def _charts(report: ParityReport, comparison: Comparison, identity: str) -> Iterator[str]:
    before, after = report.reference_outputs.logits, comparison.outputs.logits
    p_before, p_after = report.probabilities(report.reference_outputs), report.probabilities(comparison.outputs)
    labels, limits, found = report.labels, comparison.tolerances, comparison.agreement
    dots = "" if labels is None else " Red dots are abnormal images, blue ones normal."
    logits = bland_altman(before, after, "logit", labels).svg(f"{identity}-logit")
    yield _figure(
        "Logits (Bland–Altman)",
        logits,
        f"Mean {found.mean_logit:+.4f}, RMS {found.rms_logit:.4f}; the reference's logits have an SD of "
        f"{found.logit_spread:.3f}.{dots}",
    )
    chart = bland_altman(p_before, p_after, "probability", labels, limits.max_probability)
    yield _figure(
        "Probabilities (Bland–Altman)",
        chart.svg(f"{identity}-p"),
        "Dashed: the largest change that the bundle allows. Near 0 and 1 probabilities can hardly move.",
    )
    chart = shift_histogram(p_after - p_before, limits.p99_probability, limits.max_probability)
    yield _figure(
        "Change of the probability",
        chart.svg(f"{identity}-h"),
        f"Mean |Δp| {found.mean_probability:.4f}. Dotted: allowed for the 99th percentile; dashed: for any image.",
    )
    if comparison.inferiority is not None and labels is not None:
        worse = comparison.inferiority
        yield _figure(
            "ROC curves",
            roc_overlay(labels, before, after, report.operating_point).svg(f"{identity}-roc"),
            f"AUC {worse.reference_auc} before, {worse.candidate_auc} after. McNemar's exact p: "
            f"{worse.abnormal.p_value:.3g} for abnormal, {worse.normal.p_value:.3g} for normal images.",
        )


def _figure(title: str, svg: str, caption: str) -> str:
    return f"<figure><h4>{escape(title)}</h4>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _flips(report: ParityReport, comparison: Comparison) -> str:
    found = comparison.agreement
    bound = f"the true rate is below {found.flip_rate.high:.2%} with 97.5&nbsp;% confidence"
    if not found.flips:
        return f"<h3>No decision flipped</h3><p>None of {found.images} images; {bound}.</p>"
    rows = "".join(_image_row(report, comparison, position) for position in found.flips)
    head = (
        '<tr><th>image</th><th>label</th><th class="n">FP32 probability</th><th class="n">candidate</th>'
        '<th class="n">logits</th></tr>'
    )
    return (
        f"<h3>{len(found.flips)} of {found.images} decisions flipped</h3><p>{found.flip_rate.value:.2%}; {bound}.</p>"
        f'<div class="card scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )


def _image_row(report: ParityReport, comparison: Comparison, position: int) -> str:
    before, after = report.reference_outputs.logits[position], comparison.outputs.logits[position]
    p_before = report.probabilities(report.reference_outputs)[position]
    p_after = report.probabilities(comparison.outputs)[position]
    return (
        f"<tr><td>{escape(report.names[position])}</td><td>{_label(report, position)}</td>"
        f'<td class="n">{p_before:.4f}</td><td class="n">{p_after:.4f}</td>'
        f'<td class="n">{before:.4f} → {after:.4f}</td></tr>'
    )


def _worst(report: ParityReport, comparison: Comparison, pictures: Mapping[int, Triptych]) -> Iterator[str]:
    p_before, p_after = report.probabilities(report.reference_outputs), report.probabilities(comparison.outputs)
    for position, trio in pictures.items():
        images = "".join(
            f'<div><img src="{address}" alt="{word}"><span>{word}</span></div>'
            for address, word in zip(trio, ("X-ray", "FP32", comparison.engine.precision.upper()), strict=True)
        )
        flipped = ' <span class="pill bad">flipped</span>' if position in comparison.agreement.flips else ""
        caption = (
            f"<strong>Δp {p_after[position] - p_before[position]:+.4f}</strong> "
            f"({p_before[position]:.4f} → {p_after[position]:.4f}), {_label(report, position)}{flipped}<br>"
            f"{escape(report.names[position])}"
        )
        yield f'<figure><div class="trio">{images}</div><figcaption>{caption}</figcaption></figure>'


def _label(report: ParityReport, position: int) -> str:
    label = report.images[position].label
    return "no label" if label is None else ("normal", "abnormal")[label]
