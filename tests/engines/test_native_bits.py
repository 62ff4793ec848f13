"""The engine equals its definition bit for bit: random networks and images, every kernel that runs here."""

from __future__ import annotations

import numpy as np
import pytest
from random_native import Shape, random_image, random_network, random_shape

from export.native_model import NativeNetwork, interpret, write_native

_native = pytest.importorskip("cxr_edge._native", reason="installed without the native extension")

KERNELS = _native.kernels()


def run(model: bytes, image: np.ndarray, kernel: str, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    engine = _native.Engine(model, threads, kernel)
    logit = np.full(engine.outputs, np.nan, np.float32)
    cam = np.full((engine.outputs, engine.map_height, engine.map_width), np.nan, np.float32)
    engine.infer(image, logit, cam)
    return logit, cam


def assert_equal_bits(network: NativeNetwork, image: np.ndarray, kernel: str) -> None:
    expected = interpret(network, image)
    model = write_native(network)
    logit, cam = run(model, image, kernel)
    assert cam.tobytes() == expected.cam.tobytes()
    assert logit.tobytes() == expected.logit.tobytes()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", range(12))
def test_a_random_network_gives_the_definitions_bits(kernel: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, random_shape(rng))
    assert_equal_bits(network, random_image(rng, network), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("width", [28, 56, 84, 140, 196])
def test_rows_of_seven_pixels_and_their_multiples(kernel: str, width: int) -> None:
    """Widths at which tiles of fourteen pixels take seven of each of two rows, with odd and even numbers of rows."""
    rng = np.random.default_rng(width)
    network = random_network(rng, Shape((12, width), (2,), stem=16, bottleneck=32, growth=32))
    assert_equal_bits(network, random_image(rng, network), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("affine", [0.0, 1.0], ids=["clamp", "affine"])
def test_either_form_of_prologue(kernel: str, affine: float) -> None:
    rng = np.random.default_rng(5)
    network = random_network(rng, Shape((32, 32), (3, 2), stem=48, bottleneck=64, growth=48, affine=affine))
    assert_equal_bits(network, random_image(rng, network), kernel)


@pytest.mark.parametrize("kernel", KERNELS)
def test_extreme_images(kernel: str) -> None:
    rng = np.random.default_rng(6)
    network = random_network(rng, Shape())
    side = (network.height, network.width)
    for image in (np.full(side, 3e38, np.float32), np.full(side, -3e38, np.float32), np.zeros(side, np.float32)):
        assert_equal_bits(network, image, kernel)


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_image_code_that_lies_between_two_is_rounded_to_even(kernel: str) -> None:
    rng = np.random.default_rng(7)
    network = random_network(rng, Shape())
    halves = ((rng.integers(0, 255, (network.height, network.width)) - 128 + 0.5) / 64).astype(np.float32)
    assert_equal_bits(network, halves, kernel)


def test_a_second_image_is_not_disturbed_by_the_first() -> None:
    rng = np.random.default_rng(8)
    network = random_network(rng, Shape())
    engine = _native.Engine(write_native(network), 1, "best")
    logit, cam = np.empty(1, np.float32), np.empty((1, engine.map_height, engine.map_width), np.float32)
    for _ in range(3):
        image = random_image(rng, network)
        engine.infer(image, logit, cam)
        assert logit.tobytes() == interpret(network, image).logit.tobytes()
