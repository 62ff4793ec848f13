"""Intervals of a proportion against scipy, textbook values and their own coverage."""

from __future__ import annotations

import math

import pytest

from cxr_edge.errors import UsageError
from cxr_edge.evaluation.intervals import beta_quantile, clopper_pearson, regularised_incomplete_beta, wilson

COUNTS = [(0, 1), (1, 1), (0, 20), (1, 20), (10, 20), (19, 20), (20, 20), (49, 55), (50, 58), (99, 113), (999, 100_000)]


def binomial(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize(("successes", "trials"), COUNTS)
@pytest.mark.parametrize(("ours", "method"), [(wilson, "wilson"), (clopper_pearson, "exact")])
def test_intervals_equal_scipys(ours, method, successes, trials):
    stats = pytest.importorskip("scipy.stats")
    theirs = stats.binomtest(successes, trials).proportion_ci(method=method)
    interval = ours(successes, trials)
    assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert interval.value == successes / trials


def test_textbook_values():
    # Newcombe, Stat. Med. 1998, table I: 81 of 263, and 15 of 148.
    assert [round(end, 4) for end in (wilson(81, 263).low, wilson(81, 263).high)] == [0.2553, 0.3662]
    assert [round(end, 4) for end in (clopper_pearson(81, 263).low, clopper_pearson(81, 263).high)] == [0.2527, 0.3676]
    assert [round(end, 4) for end in (wilson(15, 148).low, wilson(15, 148).high)] == [0.0624, 0.1605]


def test_all_successes_give_the_closed_form():
    assert clopper_pearson(12, 12).low == pytest.approx(0.025 ** (1 / 12), rel=1e-12)
    assert clopper_pearson(12, 12).high == wilson(12, 12).high == 1.0
    assert clopper_pearson(0, 12).low == wilson(0, 12).low == 0.0


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("n", [10, 55, 110])
def test_exact_coverage(p, n):
    """Summed over every outcome: Clopper-Pearson never covers less than 95 %, Wilson is near it."""
    covered = {method: 0.0 for method in (wilson, clopper_pearson)}
    for k in range(n + 1):
        for method in covered:
            interval = method(k, n)
            covered[method] += binomial(k, n, p) * (interval.low <= p <= interval.high)
    assert covered[clopper_pearson] >= 0.95
    assert covered[wilson] >= 0.90


@pytest.mark.parametrize("a", [0.3, 1.0, 2.5, 50.0, 5000.0])
@pytest.mark.parametrize("b", [0.3, 1.0, 7.0, 800.0])
def test_incomplete_beta_and_its_inverse_equal_scipys(a, b):
    special = pytest.importorskip("scipy.special")
    for x in (1e-9, 0.01, 0.3, 0.5, 0.77, 0.999):
        assert regularised_incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-12)
    for probability in (0.025, 0.5, 0.975):
        assert beta_quantile(probability, a, b) == pytest.approx(special.betaincinv(a, b, probability), rel=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5), (math.nan, 5)])
@pytest.mark.parametrize("method", [wilson, clopper_pearson])
def test_counts_that_are_no_proportion_are_refused(method, successes, trials):
    with pytest.raises(UsageError, match="is no proportion"):
        method(successes, trials)
