"""A site's temperature and operating points, and what they change: old and new side by side on the site's images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.probability import ProbabilityQuality, probability_quality
from calibration.site.cross_fitting import FOLDS, CrossFit, cross_fit
from calibration.site.rules import PointRule
from calibration.site.temperature import SiteTemperature, site_temperature
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import DecisionMetrics, Predictions, decision_metrics, roc_auc
from cxr_edge.probability import Interval, OperatingPoint, Temperature

__all__ = ["MIN_IMAGES", "PointFigures", "SiteFit", "check_enough", "fit_site"]

MIN_IMAGES = 20
"""Images of each class below which nothing is fitted: with 20, all of them called right, the 95 % interval of a
sensitivity still reaches down to 0.84."""


@dataclass(frozen=True, slots=True)
class PointFigures:
    """What decisions at one operating point are worth on the site's images.

    Attributes:
        name: of the operating point.
        logit_threshold: the one that the bundle holds; cross-fitted figures use one near it for each fold.
        decisions: sensitivity, specificity, predictive values, accuracy.
    """

    name: str
    logit_threshold: float
    decisions: DecisionMetrics


@dataclass(frozen=True, slots=True, eq=False)
class SiteFit:
    """A fit and its figures, all on the site's images.

    Attributes:
        predictions: labels and raw FP32 logits that it was fitted on.
        auc: of the logits; neither temperature nor threshold changes it.
        temperature_before: of the parent.
        temperature: of the new bundle, and how it came about.
        points: fitted on all images, with cross-fitted sensitivity and specificity; the first is the default.
        before: quality of the probabilities at the parent's temperature; ``temperature.quality`` is that after the fit.
        points_before, points_after: decisions at the parent's thresholds, and cross-fitted.
    """

    predictions: Predictions
    auc: Interval
    temperature_before: Temperature
    temperature: SiteTemperature
    points: tuple[OperatingPoint, ...]
    before: ProbabilityQuality
    points_before: tuple[PointFigures, ...]
    points_after: tuple[PointFigures, ...]

    @property
    def abnormal(self) -> int:
        """How many of the images are abnormal."""
        return int(self.predictions.labels.sum())


def check_enough(labels: Sequence[int]) -> None:
    """Return when there are enough images of both classes.

    Raises:
        DatasetError: there are not; the message counts what is there and says what is needed.
    """
    abnormal = int(np.sum(labels))
    normal = len(labels) - abnormal
    if min(abnormal, normal) < MIN_IMAGES:
        raise DatasetError(
            f"{normal} normal and {abnormal} abnormal images are too few to fit a threshold: at least {MIN_IMAGES} of "
            "each are needed, and some hundred for a narrow interval (docs/sites.md)"
        )


def fit_site(
    predictions: Predictions,
    rules: Sequence[PointRule],
    temperature_before: Temperature,
    points_before: Sequence[OperatingPoint],
) -> SiteFit:
    """Temperature and operating points for a site.

    Args:
        predictions: labels, raw logits of the FP32 model and patients of the site's images.
        rules: the operating points wanted, the default first.
        temperature_before: of the bundle that the weights come from.
        points_before: of the same.

    Raises:
        DatasetError: too few images or patients of a class.
    """
    check_enough([int(label) for label in predictions.labels])
    cross = cross_fit(predictions, rules)
    after = tuple(_after(predictions, rule, cross) for rule in rules)
    return SiteFit(
        predictions=predictions,
        auc=roc_auc(predictions.labels, predictions.logits, predictions.patients),
        temperature_before=temperature_before,
        temperature=site_temperature(predictions, cross, temperature_before),
        points=tuple(_point(predictions, rule, found) for rule, found in zip(rules, after, strict=True)),
        before=probability_quality(predictions, temperature_before),
        points_before=tuple(_before(predictions, point) for point in points_before),
        points_after=after,
    )


def _before(predictions: Predictions, point: OperatingPoint) -> PointFigures:
    called = point.is_abnormal(predictions.logits)
    found = decision_metrics(predictions.labels, called, predictions.patients)
    return PointFigures(point.name, point.logit_threshold, found)


def _after(predictions: Predictions, rule: PointRule, cross: CrossFit) -> PointFigures:
    called = cross.decisions(predictions, rule.name)
    found = decision_metrics(predictions.labels, called, predictions.patients)
    return PointFigures(rule.name, rule.threshold(predictions), found)


def _point(predictions: Predictions, rule: PointRule, found: PointFigures) -> OperatingPoint:
    """The operating point with figures from images that its threshold was not fitted on."""
    note = f"cross-fitted in {FOLDS} folds of patients"
    sensitivity, specificity = (
        None if figure is None else replace(figure, method=f"{figure.method}, {note}")
        for figure in (found.decisions.sensitivity, found.decisions.specificity)
    )
    return OperatingPoint(
        name=rule.name,
        logit_threshold=found.logit_threshold,
        sensitivity=sensitivity,
        specificity=specificity,
        rule=f"{rule.words}, midway between neighbouring logits of {predictions.images} images of the site; "
        f"figures {note}",
    )
