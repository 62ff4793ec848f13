"""The model card of a site's bundle: the site's own section, then the parent's card as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr_edge.bundle import Manifest
from export.model_card import fenced, parity_row

__all__ = ["render_site_card"]

PREVALENCE = """\
PPV and NPV hold for the share of abnormal images above; recompute them for the share that the site sees in use. The
figures cover the images that were chosen for the fit: collect them as they come (consecutive patients, not chosen
ones), and measure again, with `cxr-edge evaluate` on images of later months, before trusting them, and after every
change of equipment or exposure protocol.
"""


def render_site_card(
    manifest: Manifest, site: Mapping[str, Any], figures: str, parent_card: str, unreleased: tuple[str, ...]
) -> str:
    """The card as Markdown.

    Args:
        manifest: of the new bundle, its evidence included.
        site: the evidence of the fit.
        figures: of the fit, as text.
        parent_card: of the bundle that the weights come from.
        unreleased: why this bundle is not released; empty where it is.
    """
    parent, fitted = manifest.evidence["parent"], site["fitted_on"]
    where = f" where {', '.join(fitted['where'])}" if fitted["where"] else ""
    return "\n".join(
        [
            f"# {manifest.name} {manifest.version}",
            "",
            f"The weights of {parent['name']} {parent['version']} (manifest SHA-256 `{parent['sha256']}`), untouched, "
            f"with temperature and operating points fitted for the site *{site['name']}*. **It is not a medical "
            "device**; what its parent's card below says of its use holds here, too.",
            "",
            *([f"**Not released**: {'; '.join(unreleased)}.", ""] if unreleased else []),
            "## At this site",
            "",
            f"Fitted on {fitted['images']} images of {fitted['patients']} patients, {fitted['abnormal']} abnormal, "
            f"from `{fitted['file']}`{where} (SHA-256 `{fitted['sha256']}`). Intervals are 95 %.",
            "",
            fenced(figures),
            "",
            PREVALENCE,
            *parity_lines(manifest.evidence.get("parity")),
            "## The parent's card",
            "",
            "Everything below is the parent's, unchanged: its figures were measured with its own temperature and "
            "thresholds on other images, and are no evidence for this site.",
            "",
            "---",
            "",
            parent_card,
        ]
    )


def parity_lines(parity: Mapping[str, Any] | None) -> list[str]:
    """How the fast models compare at the site's temperature and threshold; nothing where none was compared."""
    if not parity:
        return []
    sources = "; ".join(f"{source['images']} from `{source['name']}`" for source in parity["data"])
    return [
        "### Does the fast model decide like the slow one here?",
        "",
        f"Judged anew at this temperature and threshold over {parity['compared']} images ({parity['abnormal']} "
        f"abnormal): {sources}. The first {parity['measured_here']} rows were measured on the site's images and "
        "pooled with the record, the others stand on the record alone. The threshold was fitted on the site's images, "
        "midway between two of their logits, which favours few flips.",
        "",
        "| engine, precision | p99 \\|Δp\\| | max \\|Δp\\| | RMS Δlogit | flips | Δ AUC | Δ sensitivity | "
        "Δ specificity | map r | same peak | |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(parity_row(comparison) for comparison in parity["comparisons"]),
        "",
    ]
