"""What a site should conclude from its figures: where a new temperature and a new threshold are not enough."""

from __future__ import annotations

from collections.abc import Iterator

from calibration.site.fit import SiteFit
from cxr_edge.evaluation.intervals import Z95
from cxr_edge.probability import Interval

__all__ = ["advice_on"]

WIDE = 0.2
"""Length of a sensitivity's or specificity's 95 % interval above which more images are asked for."""


def advice_on(fit: SiteFit) -> tuple[str, ...]:
    """What the figures say, one sentence each, the gravest first; empty where nothing stands out."""
    return (*_ranking(fit), *_probabilities(fit), *_sample(fit))


def _ranking(fit: SiteFit) -> Iterator[str]:
    if fit.auc.low <= 0.5:
        yield (
            f"AUC {fit.auc}: on these images the model is not shown to rank abnormal above normal at all. No threshold "
            "repairs that: do not use it here; check the labels, the view and the exposure, or train on such images."
        )
    elif fit.auc.high < 0.85:
        yield (
            f"AUC {fit.auc}: the model ranks these images poorly, and neither temperature nor threshold changes that. "
            "A fitted threshold only chooses which errors are made; training on such images is what helps."
        )


def _probabilities(fit: SiteFit) -> Iterator[str]:
    prevalence = fit.abnormal / fit.predictions.images
    constant = prevalence * (1 - prevalence)
    after = fit.temperature.quality
    if fit.temperature.kept == "contradicted":
        yield (
            f"no temperature is right here: the best one, {fit.temperature.fitted.value:.2f}, would pull every "
            "probability towards one half, and the labels contradict it, as where logits are shifted as a whole. The "
            "parent's stays. Read decisions, whose threshold was fitted on the logit, and no probabilities."
        )
    elif fit.temperature.kept == "separated":
        yield (
            "a threshold parts the classes of these images, so that they fit no temperature: the parent's stays. More "
            "images, above all difficult ones, would tell."
        )
    if after.brier.value >= constant:
        yield (
            f"Brier score after the fit {after.brier.value:.3f}, that of giving every image the share of abnormal ones "
            f"here {constant:.3f}: the probabilities carry no information here."
        )
    line = after.line
    if line is not None and _excludes(line.intercept, 0.0):
        direction = "low" if line.intercept.value > 0 else "high"
        yield (
            f"calibration intercept after the fit {line.intercept}: probabilities are too {direction} on the whole. A "
            "temperature cannot shift them: it leaves 0.5 where it is."
        )
    if line is not None and _excludes(line.slope, 1.0):
        yield f"calibration slope after the fit {line.slope}: probabilities are {_fault(line.slope.value)}."


def _fault(slope: float) -> str:
    return "too extreme" if slope < 1 else "too timid"


def _sample(fit: SiteFit) -> Iterator[str]:
    decisions = fit.points_after[0].decisions
    figures = {"sensitivity": decisions.sensitivity, "specificity": decisions.specificity}
    for name, figure in figures.items():
        if figure is not None and figure.high - figure.low > WIDE:
            yield (
                f"the {name}'s interval is {figure.high - figure.low:.2f} long: about {_images_needed(figure.value)} "
                f"images of its class would make it {WIDE / 2:g} (docs/sites.md)."
            )


def _images_needed(share: float) -> int:
    """Images of a class for a 95 % interval of half of `WIDE`, by the normal approximation; at the least 30."""
    return max(30, 10 * round(4 * Z95**2 * share * (1 - share) / (WIDE / 2) ** 2 / 10))


def _excludes(interval: Interval, value: float) -> bool:
    return not interval.low <= value <= interval.high
