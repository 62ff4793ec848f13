"""Confidence intervals of a proportion, with nothing but the standard library.

All intervals of this project are two-sided at 95 %.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from cxr_edge.errors import UsageError
from cxr_edge.probability import Interval

__all__ = ["ALPHA", "Z95", "beta_quantile", "clopper_pearson", "regularised_incomplete_beta", "wilson"]

ALPHA = 0.05
"""Probability that a 95 % interval misses the truth."""

Z95 = NormalDist().inv_cdf(1.0 - ALPHA / 2.0)
"""Standard normal quantile of a two-sided 95 % interval, 1.95996."""


def wilson(successes: int, trials: int) -> Interval:
    """The proportion with Wilson's score interval (Wilson 1927; recommended by Brown, Cai and DasGupta 2001).

    Args:
        successes: 0 to ``trials``.
        trials: independent observations, at least 1.

    Raises:
        UsageError: counts that are no proportion.
    """
    _check(successes, trials)
    p, z2 = successes / trials, Z95 * Z95
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    # Algebra makes the end exact at 0 and n; rounding would leave 1e-17 or 1 + 1e-16.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(p, low, high, "Wilson")


def clopper_pearson(successes: float, trials: float) -> Interval:
    """The proportion with the interval of Clopper and Pearson (1934), which never covers less than 95 %.

    Args:
        successes: 0 to ``trials``. Counts may be fractional: with the *effective* number of trials of correlated
            observations this is the interval of Korn and Graubard (1998).
        trials: independent observations, at least 1.

    Raises:
        UsageError: counts that are no proportion.
    """
    _check(successes, trials)
    failures = trials - successes
    low = beta_quantile(ALPHA / 2, successes, failures + 1) if successes > 0 else 0.0
    high = beta_quantile(1 - ALPHA / 2, successes + 1, failures) if failures > 0 else 1.0
    return Interval(successes / trials, low, high, "Clopper-Pearson")


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The x in [0, 1] at which the Beta(a, b) distribution function reaches ``probability``, by bisection."""
    low, high = 0.0, 1.0
    while True:
        middle = 0.5 * (low + high)
        if middle in (low, high):  # neighbouring doubles: nothing lies between
            return middle
        if regularised_incomplete_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle


def regularised_incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), the distribution function of Beta(a, b) at x.

    By the continued fraction DLMF 8.17.22, which converges fast for x below the mean; above it by the symmetry
    ``I_x(a, b) = 1 - I_(1-x)(b, a)``.
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _lower_tail(1.0 - x, b, a)
    return _lower_tail(x, a, b)


def _lower_tail(x: float, a: float, b: float) -> float:
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _continued_fraction(x, a, b))


def _continued_fraction(x: float, a: float, b: float) -> float:
    """``1 + d1/(1 + d2/(1 + ...))`` of DLMF 8.17.22, by Lentz's method as modified by Thompson and Barnett."""
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, 100_000):  # needs about sqrt(max(a, b)) steps
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _away_from_zero(1.0 + term * d)
        c = _away_from_zero(1.0 + term / c)
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value


def _away_from_zero(number: float) -> float:
    return number if abs(number) > 1e-300 else 1e-300


def _check(successes: float, trials: float) -> None:
    if not (trials >= 1 and 0 <= successes <= trials):
        raise UsageError(f"{successes} of {trials} is no proportion: need 0 <= successes <= trials and trials >= 1")
