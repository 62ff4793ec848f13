"""The generated sections of ``docs/regions.md``."""

from __future__ import annotations

from collections.abc import Sequence

from cxr_edge.probability import Interval
from training.generated_sections import markdown_table
from training.occlusion.figures import OcclusionSummary, RunFigures
from training.occlusion.hiding import WAYS
from training.occlusion.parts import PARTS

__all__ = ["sections"]


def sections(summary: OcclusionSummary) -> dict[str, str]:
    """Markdown of each section by name: ``conditions``, ``effects``, ``evidence``."""
    return {
        "conditions": conditions(summary),
        "effects": "\n\n".join(effects(run) for run in summary.runs),
        "evidence": evidence(summary.runs),
    }


def conditions(summary: OcclusionSummary) -> str:
    """What was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(summary.versions.items()))
    models = "\n".join(
        f"- `{run.variant}`: run {run.run}, {len(run.members)} models ({', '.join(run.members)}), {run.images} images"
        f"{f'; {run.without_lungs} without lungs that were found are left out' if run.without_lungs else ''}; "
        f"AUC of the pictures as they are {interval(run.auc)}"
        for run in summary.runs
    )
    if len({run.members for run in summary.runs}) > 1:
        models += "\n\n**Not every run has all models: figures of different runs are of different images.**"
    kept = "" if summary.release_fold is None else f" Fold {summary.release_fold}, the release fold, is left out."
    source = f"{', '.join(summary.datasets)} (SHA-256 of label file {summary.labels_sha256[:12]}…)"
    return f"{source}.{kept} {versions}.\n\n{models}"


def effects(run: RunFigures) -> str:
    """A run's table: a row a part, both ways of hiding beside each other."""
    headings = ["hidden", "share of input"]
    for way in WAYS:
        headings += [f"AUC, {way}", "change", "mean \\|Δp\\|", "decisions"]
    rows = []
    for part in PARTS:
        row = [part, f"{run.effect(part, WAYS[0]).share:.0%}"]
        for way in WAYS:
            effect = run.effect(part, way)
            row += [
                f"{effect.auc.value:.3f}",
                interval(effect.change, signed=True),
                f"{effect.shift.value:.3f}",
                f"{effect.decisions.value:.0%}",
            ]
        rows.append(row)
    return f"**Shown: `{run.variant}` (run {run.run})**\n\n{markdown_table(headings, rows)}"


def evidence(runs: Sequence[RunFigures]) -> str:
    """A row for each run and class of images."""
    headings = ["shown", "images", "evidence on the lungs", "heatmap covered by lungs", "difference"]
    rows = [
        [
            f"`{run.variant}` ({run.run})",
            name,
            interval(found.on_lungs),
            interval(found.covered),
            interval(found.gain, signed=True),
        ]
        for run in runs
        for name, found in run.evidence.items()
    ]
    return markdown_table(headings, rows)


def interval(figure: Interval, *, signed: bool = False) -> str:
    """A figure with its interval, three decimals."""
    sign = "+" if signed else ""
    return f"{figure.value:{sign}.3f} [{figure.low:{sign}.3f}, {figure.high:{sign}.3f}]"
