from __future__ import annotations

import numpy as np
import pytest

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import Predictions, auc_difference
from cxr_edge.evaluation.parity import inferiority
from cxr_edge.probability import OperatingPoint

POINT = OperatingPoint("zero", 0.0)


def drawn(images: int = 200) -> Predictions:
    rng = np.random.default_rng(3)
    labels = np.arange(images) % 2
    return Predictions.of(labels, rng.normal(2.0 * labels - 1.0, 1.5))


def test_an_equal_model_is_not_inferior_and_few_images_show_it_less() -> None:
    many, few = drawn(), drawn(20)
    found, less = inferiority(many, many.logits, POINT), inferiority(few, few.logits, POINT)
    assert found.auc.value == found.sensitivity.value == found.specificity.value == 0.0
    assert found.sensitivity.low > -0.05 > less.sensitivity.low
    assert (found.abnormal.p_value, found.normal.p_value) == (1.0, 1.0)
    assert (found.abnormal_images, found.normal_images) == (100, 100)


def test_a_shift_towards_abnormal_gains_sensitivity_and_loses_specificity() -> None:
    before = drawn()
    found = inferiority(before, before.logits + 0.5, POINT)
    assert found.auc.value == 0.0
    assert found.sensitivity.value > 0 > found.specificity.value
    assert (found.abnormal.lost, found.normal.gained) == (0, 0)
    assert found.sensitivity.value == pytest.approx(found.abnormal.gained / 100)


def test_the_auc_difference_is_delongs() -> None:
    before = drawn()
    after = before.logits + np.random.default_rng(1).normal(0, 0.5, before.images)
    found = inferiority(before, after, POINT)
    assert found.auc == auc_difference(before.labels, after, before.logits)
    assert found.candidate_auc.value - found.reference_auc.value == pytest.approx(found.auc.value)


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DatasetError, match="one class"):
        inferiority(Predictions.of([1, 1], [0.1, 0.2]), [0.1, 0.2], POINT)


def test_another_number_of_logits_is_refused() -> None:
    with pytest.raises(DatasetError, match="candidate logits"):
        inferiority(drawn(), [0.0], POINT)
