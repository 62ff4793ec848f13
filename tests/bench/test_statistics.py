from __future__ import annotations

import numpy as np
import pytest

from cxr_edge.bench.statistics import median_ratio, summarise
from cxr_edge.errors import UsageError


def test_percentiles_are_repetitions_that_really_happened() -> None:
    summary = summarise([float(ms) for ms in range(1, 201)])
    assert (summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.max_ms) == (100.5, 180.0, 198.0, 200.0)
    assert (summary.n, summary.mean_ms, summary.jitter_ms) == (200, 100.5, 1.0)


def test_with_few_repetitions_p99_is_the_slowest_and_one_has_no_jitter() -> None:
    assert summarise([1.0, 9.0, 2.0]).p99_ms == 9.0
    assert summarise([3.0]).jitter_ms == 0.0


def test_nothing_cannot_be_summarised_or_compared() -> None:
    with pytest.raises(UsageError, match="at least one"):
        summarise([])
    with pytest.raises(UsageError, match="at least one"):
        median_ratio([[1.0]], [[]])


def test_equal_times_have_the_ratio_one_inside_the_interval() -> None:
    times = np.random.default_rng(1).gamma(20.0, 0.5, 60).tolist()
    ratio = median_ratio([times], [times[::-1]])
    assert ratio.value == 1.0 and ratio.low <= 1.0 <= ratio.high


def test_the_interval_covers_the_true_ratio_of_most_pairs() -> None:
    """95 % are promised of a bootstrap that is approximate at 40 repetitions; fewer than 85 of 100 would be a bug."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(100):
        before, after = rng.lognormal(0.0, 0.2, 40), 1.3 * rng.lognormal(0.0, 0.2, 40)
        interval = median_ratio([before.tolist()], [after.tolist()])
        covered += interval.low <= 1.3 <= interval.high
    assert covered >= 85


def test_rounds_that_differ_from_each_other_widen_the_interval() -> None:
    """Two processes 20 % apart: repetitions alone would pretend to know the ratio to a fraction of that."""
    rng = np.random.default_rng(3)
    rounds = [(level * rng.lognormal(0.0, 0.01, 30)).tolist() for level in (1.0, 1.2, 1.1, 0.95)]
    together = [[ms for times in rounds for ms in times]]
    by_round, as_one = median_ratio(rounds, rounds), median_ratio(together, together)
    assert by_round.high - by_round.low > as_one.high - as_one.low
    assert "rounds" in by_round.method and "one process" in as_one.method
