from __future__ import annotations

import numpy as np
import pytest

from cxr_edge.evaluation import Predictions
from cxr_edge.evaluation.parity.judgement import steepest_slope
from cxr_edge.probability import Temperature


def drawn(slope: float, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits of images on which a logistic regression of label on logit has about this slope."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 3.0, images)
    return (rng.random(images) < 1 / (1 + np.exp(-slope * logits))).astype(int), logits


def test_data_on_which_the_model_is_bad_do_not_cover_for_a_raised_temperature() -> None:
    good, bad = drawn(1.0, 150, 1), drawn(0.05, 300, 2)
    labels, logits = (np.concatenate(parts) for parts in zip(good, bad, strict=True))
    datasets = ["home"] * 150 + ["abroad"] * 300
    pooled = steepest_slope(Predictions.of(labels, logits), Temperature(4.0), ["all"] * 450)
    apart = steepest_slope(Predictions.of(labels, logits), Temperature(4.0), datasets)
    assert pooled is not None
    assert apart is not None
    assert pooled.low < 1.2 < apart.low
    assert apart.method == "Wald, home"
    assert apart.value == pytest.approx(4.0, rel=0.4)


def test_an_honest_temperature_is_not_accused() -> None:
    labels, logits = drawn(1.0, 150, 3)
    slope = steepest_slope(Predictions.of(labels, logits), Temperature(1.0), ["home"] * 150)
    assert slope is not None
    assert slope.low < 1.2


def test_data_sets_of_one_class_say_nothing() -> None:
    assert steepest_slope(Predictions.of([0, 0, 1, 1], [1.0, 2, 3, 4]), Temperature(1.0), ["a", "a", "b", "b"]) is None
