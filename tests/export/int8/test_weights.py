from __future__ import annotations

import numpy as np
import pytest

from cxr_edge.errors import UsageError
from export.int8.moments import InputMoments
from export.int8.network import Convolution
from export.int8.weights import ROUNDINGS, QuantisedConvolution, Rounding, quantise_convolution

INPUTS = 40


@pytest.fixture(scope="module")
def convolution() -> Convolution:
    random = np.random.default_rng(0)
    weight = random.normal(0, 0.1, (16, INPUTS, 1, 1)) * np.exp(random.normal(0, 1, (16, 1, 1, 1)))
    return Convolution("conv1", weight, random.normal(0, 1, 16))


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Correlated inputs with a mean: what makes rounding to the nearest suboptimal."""
    random = np.random.default_rng(1)
    mixing = random.normal(0, 1, (6, INPUTS))
    return np.asarray(random.normal(0, 0.3, (4000, 6)) @ mixing + random.normal(0, 0.05, (4000, INPUTS)) - 0.5)


@pytest.fixture(scope="module")
def moments(values: np.ndarray) -> InputMoments:
    mean = values.mean(axis=0)
    return InputMoments(mean, mean, np.cov(values.T, bias=True))


def output_error(convolution: Convolution, found: QuantisedConvolution, values: np.ndarray) -> np.ndarray:
    """Quantised minus real output, ``[samples, out]``."""
    real = found.dequantised()
    weight = (real.weight - convolution.weight)[:, :, 0, 0]
    return np.asarray(values @ weight.T + (real.bias - convolution.bias))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_integers_and_scales_have_the_types_that_graphs_store(
    convolution: Convolution, moments: InputMoments, rounding: Rounding
) -> None:
    found = quantise_convolution(convolution, moments, rounding=rounding, bias_correction=True)
    assert (found.weight.dtype, found.scale.dtype, found.bias.dtype) == (np.int8, np.float32, np.float32)
    assert found.weight.shape == convolution.weight.shape
    assert found.weight.min() >= -127
    np.testing.assert_array_equal(found.scale, found.scale.astype(np.float16))


def test_nearest_rounding_is_off_by_half_a_step_at_most(convolution: Convolution) -> None:
    found = quantise_convolution(convolution, None, rounding="nearest", bias_correction=False)
    error = np.abs(found.dequantised().weight - convolution.weight)
    assert (error <= found.scale[:, None, None, None] * 0.5001).all()
    assert np.abs(found.weight).max(axis=(1, 2, 3)).min() >= 126
    np.testing.assert_allclose(found.bias, convolution.bias, rtol=1e-6)


def test_the_bias_takes_the_mean_shift(convolution: Convolution, moments: InputMoments, values: np.ndarray) -> None:
    plain, corrected = (
        quantise_convolution(convolution, moments, rounding="nearest", bias_correction=correct)
        for correct in (False, True)
    )
    assert np.abs(output_error(convolution, plain, values).mean(axis=0)).max() > 1e-3
    assert np.abs(output_error(convolution, corrected, values).mean(axis=0)).max() < 1e-6


def test_the_bias_also_takes_what_rounding_the_inputs_shifts(convolution: Convolution, moments: InputMoments) -> None:
    lower = InputMoments(moments.mean, moments.mean - 0.01, moments.covariance)
    same = quantise_convolution(convolution, moments, rounding="nearest", bias_correction=True)
    found = quantise_convolution(convolution, lower, rounding="nearest", bias_correction=True)
    expected = 0.01 * found.dequantised().weight.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found.bias - same.bias, expected, atol=1e-5)


def test_each_rounding_knows_more_than_the_one_before(
    convolution: Convolution, moments: InputMoments, values: np.ndarray
) -> None:
    errors = []
    for rounding in ROUNDINGS:
        found = quantise_convolution(convolution, moments, rounding=rounding, bias_correction=True)
        errors.append(float((output_error(convolution, found, values) ** 2).mean()))
    assert errors[1] <= errors[0]
    assert errors[2] < 0.6 * errors[1]


def test_a_row_of_zeros_stays_zero() -> None:
    zeros = Convolution("conv1", np.zeros((2, 3, 1, 1)), np.array([1.0, 2.0]))
    moments = InputMoments(np.ones(3), np.ones(3), np.zeros((3, 3)))
    for rounding in ROUNDINGS:
        found = quantise_convolution(zeros, moments, rounding=rounding, bias_correction=True)
        assert not found.weight.any()
        assert (found.scale > 0).all()
        np.testing.assert_array_equal(found.bias, [1, 2])


@pytest.mark.parametrize(("rounding", "correct"), [("nearest", True), ("output-error", False), ("scale-search", True)])
def test_what_needs_images_says_so(convolution: Convolution, rounding: Rounding, correct: bool) -> None:
    with pytest.raises(UsageError, match="need the range images"):
        quantise_convolution(convolution, None, rounding=rounding, bias_correction=correct)
