"""Figures of repeated timings, and the ratio of two of them with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError
from cxr_edge.probability import Interval

__all__ = ["LatencySummary", "median_ratio", "summarise"]

RESAMPLES = 1000
CONFIDENCE = 0.95
SEED = 20_260_101
"""Of the bootstrap, so that one pair of records always gives one interval."""

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Of n repetitions, all times in milliseconds.

    Attributes:
        n: repetitions.
        p50_ms: the median.
        p90_ms, p99_ms: the smallest repetition that at least 90 and 99 % of them do not exceed; with fewer than 100
            repetitions p99 is the slowest.
        max_ms: the slowest.
        mean_ms: the mean.
        jitter_ms: mean absolute difference of consecutive repetitions (the quantity that RFC 3550 6.4.1 smooths).
    """

    n: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float
    jitter_ms: float


def summarise(repetitions_ms: Sequence[float]) -> LatencySummary:
    """The summary of at least one repetition, in the order in which they ran.

    Raises:
        UsageError: no repetitions.
    """
    if not len(repetitions_ms):
        raise UsageError("no repetitions to summarise: measure at least one")
    times = np.asarray(repetitions_ms, np.float64)
    p90, p99 = (float(np.percentile(times, share, method="inverted_cdf")) for share in (90, 99))
    return LatencySummary(
        n=len(times),
        p50_ms=float(np.median(times)),
        p90_ms=p90,
        p99_ms=p99,
        max_ms=float(times.max()),
        mean_ms=float(times.mean()),
        jitter_ms=float(np.abs(np.diff(times)).mean()) if len(times) > 1 else 0.0,
    )


def median_ratio(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> Interval:
    """``median(after) / median(before)`` with its 95 % percentile-bootstrap interval (Efron 1979).

    Rounds are resampled first, repetitions within them second: a process has its own memory layout and clock, so the
    repetitions of one process are alike. With one round on a side, its interval knows only the variation within
    that process.

    Args:
        before: repetitions by round, any positive unit.
        after: the same for the other record.

    Raises:
        UsageError: a side without repetitions.
    """
    sides = []
    rng = np.random.default_rng(SEED)
    for rounds in (before, after):
        arrays = [np.asarray(times, np.float64) for times in rounds if len(times)]
        if not arrays:
            raise UsageError("no repetitions to compare: measure at least one")
        sides.append((float(np.median(np.concatenate(arrays))), _resampled_medians(arrays, rng)))
    (median_before, medians_before), (median_after, medians_after) = sides
    low, high = np.quantile(medians_after / medians_before, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    kind = "rounds and repetitions" if min(len(before), len(after)) > 1 else "repetitions within one process"
    return Interval(median_after / median_before, float(low), float(high), f"bootstrap of {kind}")


def _resampled_medians(rounds: list[Times], rng: np.random.Generator) -> Times:
    if len(rounds) == 1:  # the usual case, in one step instead of a thousand
        drawn = rng.integers(len(rounds[0]), size=(RESAMPLES, len(rounds[0])))
        medians: Times = np.median(rounds[0][drawn], axis=1)
        return medians
    return np.array([_one_median(rounds, rng) for _ in range(RESAMPLES)])


def _one_median(rounds: list[Times], rng: np.random.Generator) -> float:
    chosen = [rounds[number] for number in rng.integers(len(rounds), size=len(rounds))]
    return float(np.median(np.concatenate([times[rng.integers(len(times), size=len(times))] for times in chosen])))
