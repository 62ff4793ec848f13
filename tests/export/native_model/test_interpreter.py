"""The definition against independent arithmetic in real numbers."""

from __future__ import annotations

import numpy as np
import pytest
from random_native import Shape, affine, convolution, random_image, random_network

from export.native_model import Affine, Clamp, Convolution, interpret, interpreter


def test_codes_round_halves_to_even_and_saturate() -> None:
    values = np.array([-3.0, -0.5, 0.5, 1.5, 2.5, 254.5, 255.5, 1e9], np.float32)
    assert interpreter.to_codes(values).tolist() == [0, 0, 0, 2, 2, 254, 255, 255]


def test_a_convolution_is_the_sum_over_its_window() -> None:
    rng = np.random.default_rng(0)
    layer = convolution(rng, 16, 3, 32)
    codes = rng.integers(0, 256, (6, 5, 32)).astype(np.uint8)
    total = sum(
        int(codes[2 + i, 1 + j, c]) * int(layer.weights[7, i, j, c])
        for i in range(3)
        for j in range(3)
        for c in range(32)
    )
    value = float(np.float32(np.float32(total + int(layer.bias[7])) * layer.multiplier[7]))
    assert interpreter.convolve(layer, codes)[2, 1, 7] == min(max(round(value), 0), 255)


def test_a_clamp_keeps_codes_between_its_ends() -> None:
    prologue = Clamp(np.array([10, 0], np.uint8), np.array([255, 20], np.uint8))
    codes = np.array([[[0, 0], [15, 30], [200, 20]]], np.uint8)
    assert interpreter.prologue_codes(prologue, codes).tolist() == [[[10, 0], [15, 20], [200, 20]]]


def test_an_affine_prologue_has_its_threshold_between_codes() -> None:
    # 2 * (code - 9.75), rounded: the half lies in the bias.
    prologue = Affine(np.array([32], np.int16), np.array([-312 + 8], np.int16))
    codes = np.array([[[9], [10], [11], [255]]], np.uint8)
    assert interpreter.prologue_codes(prologue, codes).ravel().tolist() == [0, 1, 3, 255]


def test_averages_are_of_sixteenths_and_rounded_once() -> None:
    # A quarter of (7 + 7 + 7 + 4) / 16 is 0.39: rounding each to a code first would give 0 to 1 at random.
    fine = np.array([[[7], [7]], [[7], [4]]], np.int32)
    assert interpreter.averaged(fine).tolist() == [[[0]]]
    assert interpreter.averaged(fine + 2).tolist() == [[[1]]]


def test_the_stem_pads_with_the_code_of_zero() -> None:
    network = random_network(np.random.default_rng(1), Shape())
    weights = np.zeros_like(network.stem.weights)
    weights[:, 0, 0] = 1  # the window's corner: outside the image at the first pixel
    stem = Convolution(weights, np.zeros_like(network.stem.bias), np.full_like(network.stem.multiplier, 0.5))
    padded = np.full((7, 7, 1), network.input_zero, np.uint8)
    assert interpreter.convolve(stem, padded).ravel()[0] == network.input_zero // 2


def test_the_logit_is_the_mean_of_the_map() -> None:
    rng = np.random.default_rng(2)
    network = random_network(rng, Shape(outputs=3))
    output = interpret(network, random_image(rng, network))
    assert output.cam.shape == (3, 4, 4)
    np.testing.assert_allclose(output.logit, output.cam.mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_a_dense_layer_appends_its_channels_and_leaves_the_others(count: int) -> None:
    rng = np.random.default_rng(4)
    network = random_network(rng, Shape(blocks=(count,)))
    codes = interpreter.stem(network, random_image(rng, network))
    output = interpret(network, random_image(np.random.default_rng(5), network))
    assert codes.shape[2] == 32
    assert output.blocks[0].shape[2] == 32 + 16 * count


def test_random_prologues_reach_both_ends() -> None:
    rng = np.random.default_rng(6)
    codes = rng.integers(0, 256, (8, 8, 64)).astype(np.uint8)
    fine = interpreter.sixteenths(affine(rng, 64), codes)
    assert fine.min() == 0
    assert fine.max() == 4080
