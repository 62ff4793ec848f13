"""Does a fast model decide like the slow one? Measured on unseen images, judged by the bundle's own limits."""

from __future__ import annotations

from cxr_edge.evaluation.parity.images import ParityImages, joined, parity_images
from cxr_edge.evaluation.parity.inferiority import Inferiority, inferiority
from cxr_edge.evaluation.parity.measures import Agreement, agreement
from cxr_edge.evaluation.parity.outputs import Outputs
from cxr_edge.evaluation.parity.page import parity_html
from cxr_edge.evaluation.parity.record import report_json, summary_json
from cxr_edge.evaluation.parity.report import Comparison, ParityReport
from cxr_edge.evaluation.parity.run import Reference, measure_parity
from cxr_edge.evaluation.parity.text import check_words, parity_text
from cxr_edge.evaluation.parity.tolerances import DEFAULT_TOLERANCES, Check, checks, tolerances_of

__all__ = [
    "DEFAULT_TOLERANCES",
    "Agreement",
    "Check",
    "Comparison",
    "Inferiority",
    "Outputs",
    "ParityImages",
    "ParityReport",
    "Reference",
    "agreement",
    "check_words",
    "checks",
    "inferiority",
    "joined",
    "measure_parity",
    "parity_html",
    "parity_images",
    "parity_text",
    "report_json",
    "summary_json",
    "tolerances_of",
]
