from __future__ import annotations

import math

import numpy as np
import pytest

from cxr_edge.errors import UsageError
from cxr_edge.evaluation.intervals import Z95
from cxr_edge.evaluation.parity.paired_proportions import mcnemar, paired_difference, tango


def profile_score(gained: int, lost: int, trials: int, difference: float) -> float:
    """Score statistic with the nuisance parameter found by search instead of by formula."""
    shares = np.linspace(max(0.0, -difference), (1 - difference) / 2, 200_001)[1:-1]
    with np.errstate(divide="ignore"):
        likelihood = (
            gained * np.log(shares + difference)
            + lost * np.log(shares)
            + (trials - gained - lost) * np.log(1 - 2 * shares - difference)
        )
    share = shares[np.argmax(likelihood)]
    variance = trials * (2 * share + difference - difference**2)
    return (gained - lost - trials * difference) / math.sqrt(variance)


@pytest.mark.parametrize(("gained", "lost", "trials"), [(3, 5, 60), (12, 2, 50), (1, 0, 30), (4, 9, 100), (7, 7, 40)])
def test_at_both_ends_the_score_test_just_rejects(gained: int, lost: int, trials: int) -> None:
    interval = tango(gained, lost, trials)
    assert interval.value == pytest.approx((gained - lost) / trials)
    assert profile_score(gained, lost, trials, interval.low) == pytest.approx(Z95, abs=2e-3)
    assert profile_score(gained, lost, trials, interval.high) == pytest.approx(-Z95, abs=2e-3)


def test_without_discordant_images_the_interval_has_the_known_length() -> None:
    interval = tango(0, 0, 60)
    assert (interval.low, interval.high) == (
        pytest.approx(-(Z95**2) / (60 + Z95**2)),
        pytest.approx(Z95**2 / (60 + Z95**2)),
    )


def test_swapping_the_models_mirrors_the_interval() -> None:
    one, other = tango(8, 3, 70), tango(3, 8, 70)
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))


@pytest.mark.parametrize("truth", [(0.05, 0.05), (0.10, 0.02), (0.02, 0.20)])
def test_it_covers_the_truth_about_as_often_as_it_says(truth: tuple[float, float]) -> None:
    """Exact coverage over every outcome of 25 trials that matters."""
    trials, covered, difference = 25, 0.0, truth[0] - truth[1]
    for gained in range(trials + 1):
        for lost in range(trials + 1 - gained):
            ways = math.comb(trials, gained) * math.comb(trials - gained, lost)
            chance = ways * truth[0] ** gained * truth[1] ** lost * (1 - sum(truth)) ** (trials - gained - lost)
            if chance > 1e-6:
                interval = tango(gained, lost, trials)
                covered += chance * (interval.low <= difference <= interval.high)
    assert 0.93 < covered < 0.995


@pytest.mark.parametrize("counts", [(1, 1, 0), (-1, 0, 5), (3, 3, 5)])
def test_counts_that_are_no_proportions_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="no paired proportions"):
        tango(*counts)


def test_all_trials_discordant_ends_at_one() -> None:
    interval = tango(10, 0, 10)
    assert (interval.value, interval.high) == (1.0, 1.0)
    assert 0 < interval.low < 1


def test_images_of_one_patient_count_less_than_images_of_many() -> None:
    candidate, reference = [1, 1, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]
    alone = paired_difference(candidate, reference)
    paired = paired_difference(candidate, reference, ["a", "a", "b", "b", "c", "c", "d", "d"])
    assert paired.value == alone.value == -0.25
    assert paired.high - paired.low > alone.high - alone.low
    assert "effective images" in paired.method


def test_without_discordance_images_of_a_patient_count_as_one() -> None:
    right = np.ones(60, dtype=bool)
    assert paired_difference(right, right, np.arange(60) // 2).low == pytest.approx(tango(0, 0, 30).low)


@pytest.mark.parametrize(("gained", "lost", "p_value"), [(0, 0, 1.0), (1, 0, 1.0), (5, 5, 1.0), (0, 6, 2 / 64)])
def test_mcnemar_counts_coin_tosses(gained: int, lost: int, p_value: float) -> None:
    assert mcnemar(gained, lost).p_value == pytest.approx(p_value)


def test_mcnemar_survives_thousands_of_discordant_images() -> None:
    assert 0.0 < mcnemar(1000, 1100).p_value < 0.05
