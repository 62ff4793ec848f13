"""Which limits parity is judged by, and whether each of them holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

from cxr_edge.bundle import ModelEntry, Tolerances
from cxr_edge.evaluation.intervals import Z95
from cxr_edge.evaluation.parity.inferiority import Inferiority
from cxr_edge.evaluation.parity.measures import Agreement
from cxr_edge.evaluation.parity.paired_proportions import tango
from cxr_edge.probability import Interval

__all__ = ["DEFAULT_TOLERANCES", "Check", "artefact_of", "checks", "loosened", "tolerances_of"]

INT8 = Tolerances(
    p99_probability=0.02,
    max_probability=0.05,
    rms_logit_share=0.03,
    flip_share=0.005,
    auc_margin=0.005,
    sensitivity_margin=0.05,
    specificity_margin=0.05,
    cam_median_r=0.98,
    cam_same_peak=0.95,
    temperature_excess=1.2,
)
FP16 = Tolerances(
    p99_probability=0.005,
    max_probability=0.005,
    rms_logit_share=0.01,
    flip_share=0.0,
    auc_margin=0.005,
    sensitivity_margin=0.05,
    specificity_margin=0.05,
    cam_median_r=0.98,
    cam_same_peak=0.95,
    temperature_excess=1.2,
)
FP32 = Tolerances(
    p99_probability=0.001,
    max_probability=0.001,
    rms_logit_share=0.001,
    flip_share=0.0,
    auc_margin=0.005,
    sensitivity_margin=0.05,
    specificity_margin=0.05,
    cam_median_r=0.99,
    cam_same_peak=0.99,
    temperature_excess=1.2,
)
NATIVE = replace(INT8, p99_probability=0.03, max_probability=0.06)
DEFAULT_TOLERANCES: Mapping[str, Tolerances] = {
    "fp32": FP32,
    "fp16": FP16,
    "int8": INT8,
    "int8-fp16": INT8,
    "native": NATIVE,
}
"""Limits by artefact: written into new bundles, and applied to bundles that give none.

``"native"`` is the INT8 model as our own engine runs it: everything in 8 bits, the sums of the head apart.

The margins of sensitivity and specificity leave room for the length that the interval has with few images: without a
single flip it still reaches 0.021 below zero with 175 images of a class, 0.05 with 73.
"""

LOWER_LIMITS = ("cam_median_r", "cam_same_peak")
"""Limits that a figure must reach; of all others it must stay below."""

Sense = Literal["at most", "at least", "above"]


@dataclass(frozen=True, slots=True)
class Check:
    """One limit and the figure that is held against it.

    Attributes:
        name: of the limit, a field of `Tolerances`.
        title: what is compared, in words.
        value: the figure; None where it could not be measured.
        sense: how ``value`` must lie to ``limit``.
        limit: the limit.
        missing: why there is no value; empty where there is one.
        hint: what a reader of a broken limit should know, or empty.
    """

    name: str
    title: str
    value: float | None
    sense: Sense
    limit: float
    missing: str = ""
    hint: str = ""

    @property
    def held(self) -> bool | None:
        """Whether the limit holds; None where the figure could not be measured."""
        if self.value is None:
            return None
        if self.sense == "at most":
            return self.value <= self.limit
        return self.value >= self.limit if self.sense == "at least" else self.value > self.limit


def artefact_of(engine: str, precision: str) -> str:
    """Which file an engine runs for a precision: the precision's own, or ``"native"``."""
    return "native" if engine == "native" else precision


def tolerances_of(model: ModelEntry, artefact: str) -> Tolerances:
    """The limits of a bundle's model: its own, else this version's for the artefact."""
    own = model.native_tolerances if artefact == "native" else model.tolerances
    return own or DEFAULT_TOLERANCES[artefact]


def loosened(tolerances: Tolerances, artefact: str) -> tuple[str, ...]:
    """Names of the limits that are looser than this version's for the artefact; a report says so."""
    usual = DEFAULT_TOLERANCES[artefact]
    looser = []
    for limit in fields(Tolerances):
        own, other = getattr(tolerances, limit.name), getattr(usual, limit.name)
        if own < other if limit.name in LOWER_LIMITS else own > other:
            looser.append(limit.name)
    return tuple(looser)


def checks(
    agreement: Agreement,
    tolerances: Tolerances,
    inferiority: Inferiority | None = None,
    calibration_slope: Interval | None = None,
    missing: str = "no labels",
) -> tuple[Check, ...]:
    """Every limit with its figure, label-free ones first.

    Args:
        agreement: label-free figures.
        tolerances: limits.
        inferiority: labelled figures; None where labels cannot give them.
        calibration_slope: of the reference's calibrated logits on the labels. Its lower end is the factor by which
            the temperature is certainly too high; None where labels cannot give it.
        missing: why labelled figures are missing.
    """
    return (*_unlabelled(agreement, tolerances), *_labelled(inferiority, calibration_slope, tolerances, missing))


def _unlabelled(found: Agreement, limit: Tolerances) -> tuple[Check, ...]:
    return (
        Check("p99_probability", "99th percentile of |Δp|", found.p99_probability, "at most", limit.p99_probability),
        Check("max_probability", "largest |Δp|", found.max_probability, "at most", limit.max_probability),
        Check(
            "rms_logit_share",
            "RMS Δlogit / SD of the logits",
            found.rms_logit_share,
            "at most",
            limit.rms_logit_share,
        ),
        Check("flip_share", "share of flipped decisions", found.flip_rate.value, "at most", limit.flip_share),
        Check("cam_median_r", "median correlation of the maps", found.cam_median_r, "at least", limit.cam_median_r),
        Check("cam_same_peak", "maps with the same peak cell", found.cam_same_peak, "at least", limit.cam_same_peak),
    )


def _labelled(found: Inferiority | None, slope: Interval | None, limit: Tolerances, missing: str) -> tuple[Check, ...]:
    def non_inferior(figure: str, title: str, margin: float) -> Check:
        interval: Interval | None = getattr(found, figure, None)
        if interval is None:
            return Check(f"{figure}_margin", title, None, "above", -margin, missing)
        return Check(f"{figure}_margin", title, interval.low, "above", -margin, hint=_few_images(found, figure, margin))

    factor = None if slope is None else slope.low
    no_slope = "" if slope else missing or "the classes are separated, so labels say nothing about the temperature"
    return (
        non_inferior("auc", "Δ AUC, lower end of its interval", limit.auc_margin),
        non_inferior("sensitivity", "Δ sensitivity, lower end", limit.sensitivity_margin),
        non_inferior("specificity", "Δ specificity, lower end", limit.specificity_margin),
        Check(
            "temperature_excess",
            "calibration slope, lower end (above 1: temperature too high)",
            factor,
            "at most",
            limit.temperature_excess,
            no_slope,
        ),
    )


def _few_images(found: Inferiority | None, figure: str, margin: float) -> str:
    """Says that a class has too few images to show non-inferiority even if no decision changes."""
    images = {"sensitivity": found.abnormal_images, "specificity": found.normal_images}.get(figure) if found else None
    if images is None or -tango(0, 0, images).low < margin:
        return ""
    needed = math.floor(Z95**2 * (1 - margin) / margin) + 1 if margin else 0
    wanted = f": at least {needed} are needed" if needed else ""
    return f"{images} images of the class cannot show it even without a single flip{wanted}"
