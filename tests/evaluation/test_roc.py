"""AUC and its intervals against brute force, scikit-learn and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.roc import auc_difference, auc_estimates, midranks, roc_auc, roc_curve


def sample(seed, n=120, shift=1.5, ties=False):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) < n // 2).astype(int)
    scores = rng.normal(size=n) + shift * labels
    return labels, np.round(scores, 1) if ties else scores


def brute_force(labels, scores):
    """DeLong by its definition: the kernel over every pair, variances of its row and column means."""
    high, low = scores[labels == 1], scores[labels == 0]
    kernel = (high[:, None] > low[None, :]) + 0.5 * (high[:, None] == low[None, :])
    variance = kernel.mean(axis=1).var(ddof=1) / high.size + kernel.mean(axis=0).var(ddof=1) / low.size
    return kernel.mean(), variance


@pytest.mark.parametrize("ties", [False, True])
def test_auc_and_variance_equal_delongs_definition(ties):
    labels, scores = sample(1, ties=ties)
    estimates = auc_estimates(labels, scores[None, :])
    auc, variance = brute_force(labels, scores)
    assert estimates.auc[0] == pytest.approx(auc, abs=1e-14)
    assert estimates.covariance[0, 0] == pytest.approx(variance, rel=1e-10)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
def test_auc_with_many_ties_equals_the_share_of_ordered_pairs(pairs):
    labels, scores = np.array([int(label) for label, _ in pairs]), np.array([float(score) for _, score in pairs])
    if labels.min() == labels.max():
        return
    auc, _ = auc_estimates(labels, scores[None, :]).auc[0], None
    high, low = scores[labels == 1], scores[labels == 0]
    assert auc == pytest.approx(np.mean((high[:, None] > low) + 0.5 * (high[:, None] == low)), abs=1e-12)
    assert roc_auc(labels, -scores).value == pytest.approx(1 - auc, abs=1e-12)


def test_auc_and_curve_equal_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    labels, scores = sample(2, ties=True)
    assert roc_auc(labels, scores).value == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-14)
    ours, theirs = roc_curve(labels, scores), metrics.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose((ours.false_positive_rate, ours.sensitivity, ours.threshold), theirs)


def test_midranks_share_ties():
    assert midranks(np.array([3.0, 1.0, 3.0, 2.0, 3.0])).tolist() == [4.0, 1.0, 4.0, 2.0, 4.0]


def test_interval_stays_within_bounds_and_says_its_method():
    labels, scores = sample(3, n=40, shift=4.0)
    interval = roc_auc(labels, scores)
    assert 0.0 < interval.low < interval.value < interval.high < 1.0
    assert interval.method == "DeLong, logit scale"


@pytest.mark.parametrize(("n", "shift", "least"), [(110, 2.3, 0.93), (60, 1.0, 0.92)])
def test_interval_covers_the_true_auc(n, shift, least):
    """Normal scores: the true AUC is Phi(shift / sqrt 2)."""
    stats = pytest.importorskip("scipy.stats")
    truth, runs = stats.norm.cdf(shift / np.sqrt(2)), 400
    intervals = [roc_auc(*sample(seed, n, shift)) for seed in range(runs)]
    assert sum(interval.low <= truth <= interval.high for interval in intervals) / runs >= least


def test_perfect_separation_gets_the_exact_interval_of_disjoint_pairs():
    labels = np.array([0] * 30 + [1] * 12)
    interval = roc_auc(labels, np.arange(42.0))
    assert (interval.value, interval.high) == (1.0, 1.0)
    assert interval.low == pytest.approx(0.025 ** (1 / 12))
    assert interval.method == "Clopper-Pearson, 12 disjoint pairs"
    assert roc_auc(labels, -np.arange(42.0)).high == pytest.approx(1 - 0.025 ** (1 / 12))


def test_a_single_image_of_a_class_gives_a_wide_interval_not_a_crash():
    interval = roc_auc([1, 0, 0, 0, 0], [0.5, 0.1, 0.2, 0.9, 0.3])
    assert interval.value == 0.75
    assert interval.high - interval.low > 0.9


def test_ids_that_never_repeat_change_nothing():
    labels, scores = sample(4)
    assert roc_auc(labels, scores, [f"p{i}" for i in range(120)]) == roc_auc(labels, scores)


def test_repeated_patients_widen_the_interval_as_a_bootstrap_of_patients_does():
    rng = np.random.default_rng(5)
    count, repeats = 80, 4
    patients = np.repeat(np.arange(count), repeats)
    labels = np.repeat(rng.permutation(np.arange(count) < 40).astype(int), repeats)
    labels[::7] ^= 1  # some patients have images of both classes
    scores = np.repeat(rng.normal(size=count), repeats) + 0.5 * rng.normal(size=labels.size) + 1.5 * labels
    estimates = auc_estimates(labels, scores[None, :], patients)
    drawn = []
    for _ in range(600):
        rows = (rng.integers(count, size=count)[:, None] * repeats + np.arange(repeats)).ravel()
        drawn.append(auc_estimates(labels[rows], scores[rows][None, :]).auc[0])
    assert np.sqrt(estimates.covariance[0, 0]) == pytest.approx(np.std(drawn), rel=0.12)
    assert np.sqrt(estimates.covariance[0, 0]) > 1.3 * np.sqrt(brute_force(labels, scores)[1])
    assert "between patients" in roc_auc(labels, scores, patients).method


def test_paired_difference_equals_delongs_definition():
    labels, scores = sample(6)
    other = scores + np.random.default_rng(0).normal(scale=0.5, size=scores.size)
    interval = auc_difference(labels, scores, other)
    kernels = [(s[labels == 1][:, None] > s[labels == 0]).astype(float) for s in (scores, other)]
    difference = kernels[0] - kernels[1]
    variance = difference.mean(axis=1).var(ddof=1) / 60 + difference.mean(axis=0).var(ddof=1) / 60
    assert interval.value == pytest.approx(difference.mean(), abs=1e-14)
    assert interval.high - interval.value == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-5)
    # Pairing is the point: the same images make the difference more certain than two studies would.
    assert interval.high - interval.low < 0.7 * (roc_auc(labels, scores).high - roc_auc(labels, scores).low) * 2**0.5


def test_equal_scores_differ_by_exactly_nothing():
    labels, scores = sample(7)
    interval = auc_difference(labels, scores, 2 * scores)
    assert (interval.value, interval.low, interval.high) == pytest.approx((0, 0, 0), abs=1e-8)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("figure", [roc_auc, roc_curve])
def test_one_class_is_refused_with_a_hint(figure, label):
    with pytest.raises(DatasetError, match="all 3 images have one class"):
        figure([label] * 3, [1.0, 2.0, 3.0])


def test_lengths_that_differ_are_refused():
    with pytest.raises(DatasetError, match="2 labels but scores of shape"):
        roc_auc([0, 1], [1.0, 2.0, 3.0])


def test_a_difference_needs_two_patients_of_each_class():
    with pytest.raises(DatasetError, match="only one patient"):
        auc_difference([1, 0, 0], [1.0, 2.0, 3.0], [1.0, 2.0, 4.0])


def test_a_hundred_thousand_images_are_no_problem():
    labels, scores = sample(8, n=100_000)
    interval = roc_auc(labels, scores)
    assert interval.high - interval.low < 0.01
