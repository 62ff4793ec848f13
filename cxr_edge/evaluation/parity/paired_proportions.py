"""The difference of two proportions of the same images: does the candidate decide rightly as often?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_edge.errors import UsageError
from cxr_edge.evaluation.intervals import Z95
from cxr_edge.evaluation.patients import PatientIndex, independent, patient_index, variance_of_mean
from cxr_edge.probability import Interval

__all__ = ["Discordance", "mcnemar", "paired_difference", "tango"]


@dataclass(frozen=True, slots=True)
class Discordance:
    """Images that only one of two models decides rightly, with McNemar's exact test.

    Attributes:
        gained: right by the candidate alone.
        lost: right by the reference alone.
        p_value: two-sided, of the null hypothesis that both kinds are equally frequent; 1 without any. Images count
            as independent. A large value is no proof of equality.
    """

    gained: int
    lost: int
    p_value: float


def mcnemar(gained: int, lost: int) -> Discordance:
    """McNemar's exact test (Mosteller 1952): under the null each discordant image is a fair coin.

    Args:
        gained: images right by the candidate alone.
        lost: images right by the reference alone.
    """
    discordant = gained + lost
    tail = sum(math.comb(discordant, k) for k in range(min(gained, lost) + 1))
    # As a ratio of integers: 2.0 ** discordant overflows a float from 1,024 on.
    return Discordance(gained, lost, min(1.0, 2 * tail / 2**discordant))


def paired_difference(candidate: ArrayLike, reference: ArrayLike, groups: ArrayLike | None = None) -> Interval:
    """Share of images right by the candidate minus that by the reference, with a paired 95 % interval.

    Tango's score interval. Where patients have several images, all counts are divided by the design effect of the
    difference between patients, as Korn and Graubard (1998) do for one proportion; where no image is discordant there
    is no spread to estimate it from, and the images of a patient count as perfectly alike (Kish 1965).

    Args:
        candidate: ``[n]`` true where right, n at least 1.
        reference: ``[n]`` likewise, of the same images.
        groups: ``[n]`` patient ids; None when every image has a patient of its own.
    """
    right, right_before = np.asarray(candidate, dtype=bool), np.asarray(reference, dtype=bool)
    patients = patient_index(groups, right.size)
    gained, lost = int(np.sum(right & ~right_before)), int(np.sum(~right & right_before))
    if independent(patients):
        return tango(gained, lost, right.size)
    share = _effective_images(right.astype(np.int64) - right_before, patients) / right.size
    interval = tango(gained * share, lost * share, right.size * share)
    return Interval(interval.value, interval.low, interval.high, f"Tango, {right.size * share:.1f} effective images")


def tango(gained: float, lost: float, trials: float) -> Interval:
    """``(gained - lost) / trials`` with Tango's score interval (Statistics in Medicine 1998, 17:891-908).

    The interval holds every difference that the score test, with the other parameter at its constrained maximum
    likelihood, does not reject at 5 %. It keeps its level at small counts and has a length also where nothing is
    discordant: ``z^2 / (trials + z^2)`` to either side then.

    Args:
        gained: trials that only the first succeeds in; may be fractional.
        lost: trials that only the second succeeds in; may be fractional.
        trials: all of them, at least 1.

    Raises:
        UsageError: counts that are no part of the trials.
    """
    if not (trials >= 1 and gained >= 0 and lost >= 0 and gained + lost <= trials * (1 + 1e-12)):
        raise UsageError(f"{gained} gained and {lost} lost of {trials} are no paired proportions")
    difference = (gained - lost) / trials
    low = _crossing(gained, lost, trials, -1.0, difference, Z95)
    high = _crossing(gained, lost, trials, difference, 1.0, -Z95)
    return Interval(difference, min(low, difference), max(high, difference), "Tango")


def _crossing(gained: float, lost: float, trials: float, low: float, high: float, level: float) -> float:
    """The difference in ``[low, high]`` at which the score, which falls, crosses ``level``; by bisection."""
    while True:
        middle = 0.5 * (low + high)
        if middle in (low, high):  # neighbouring doubles: nothing lies between
            return middle
        if _score(gained, lost, trials, middle) > level:
            low = middle
        else:
            high = middle


def _score(gained: float, lost: float, trials: float, difference: float) -> float:
    """Tango's score statistic for a true difference; standard normal where that is the truth."""
    # The constrained maximum-likelihood share of `lost` is the larger root of 2n q^2 + b q + c = 0 (his equation 11).
    b = (2 * trials - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    share = (math.sqrt(max(b * b - 8 * trials * c, 0.0)) - b) / (4 * trials)
    distance = gained - lost - trials * difference
    variance = trials * (2 * share + difference * (1 - difference))
    if variance <= 0.0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _effective_images(change: NDArray[np.int64], patients: PatientIndex) -> float:
    """Independent images that would give the mean of ``change`` (-1, 0, 1) the variance it has, 1 to n."""
    images = np.unique(patients, return_counts=True)[1]
    alone, between = float(change.var()) / change.size, variance_of_mean(change, patients)
    if alone > 0.0 and math.isfinite(between):
        effective = change.size * alone / between if between > 0.0 else float(change.size)
    else:
        effective = float(change.size**2 / np.sum(images**2))
    return min(max(effective, 1.0), float(change.size))
