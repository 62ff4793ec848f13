"""The site's temperature, or the parent's where no temperature is right for the site.

A temperature divides the logit and cannot shift it. Where the site's images are shifted as a whole (another share of
abnormal images, other equipment), the likelihood is largest at an ever higher temperature that pulls every probability
towards one half. The labels show it: the calibration slope at that temperature is far above 1. Such a temperature would
say nothing, and would hide every difference between engines; it is not used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from calibration.probability import MIN_TEMPERATURE, ProbabilityQuality, fit_temperature, probability_quality
from calibration.site.cross_fitting import CrossFit
from cxr_edge.evaluation import Predictions
from cxr_edge.probability import Temperature

__all__ = ["Kept", "SiteTemperature", "site_temperature"]

Kept = Literal["", "separated", "contradicted"]
"""Why the parent's temperature stays: ``"separated"``, a threshold parts the classes, so that every lower temperature
fits better; ``"contradicted"``, the labels contradict the fitted one; ``""``, it does not stay."""

MAX_SLOPE = 1.2
"""Largest lower end of the cross-fitted calibration slope at which a fitted temperature is used: the limit that the
parity gate sets (``temperature_excess``), in `cxr_edge.evaluation.parity.DEFAULT_TOLERANCES`."""


@dataclass(frozen=True, slots=True, eq=False)
class SiteTemperature:
    """The temperature of the new bundle.

    Attributes:
        value: fitted on all of the site's images, or the parent's.
        fitted: what the fit gave, used or not.
        kept: why it was not used; empty where it was.
        cross: with the temperatures that each image is judged by: cross-fitted, or the parent's for all.
        quality: of the probabilities at those.
    """

    value: Temperature
    fitted: Temperature
    kept: Kept
    cross: CrossFit
    quality: ProbabilityQuality


def site_temperature(predictions: Predictions, cross: CrossFit, parent: Temperature) -> SiteTemperature:
    """Fit the temperature and decide whether it is used.

    Args:
        predictions: labels, raw logits and patients of the site's images.
        cross: cross-fitted temperatures of the same images.
        parent: temperature of the bundle that the weights come from.

    Raises:
        DatasetError: one class only.
    """
    fit = fit_temperature(predictions.labels, predictions.logits, predictions.patients)
    quality = probability_quality(cross.calibrated(predictions), Temperature(1.0))
    kept: Kept = ""
    if fit.at_bound:
        kept = "separated" if fit.temperature.value == MIN_TEMPERATURE else "contradicted"
    elif quality.line is not None and quality.line.slope.low > MAX_SLOPE:
        kept = "contradicted"
    if not kept:
        return SiteTemperature(fit.temperature, fit.temperature, kept, cross, quality)
    as_before = replace(cross, temperature=np.full(predictions.images, parent.value))
    return SiteTemperature(parent, fit.temperature, kept, as_before, probability_quality(predictions, parent))
