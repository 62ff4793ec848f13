"""The ARM kernels, cross-compiled and run by an emulator, give the definition's bits; nothing is timed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from random_native import Shape, random_image, random_network, random_shape

from export.native_model import NativeNetwork, interpret, write_native

ROOT = Path(__file__).parents[2]
TOOLS = {"aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu", "qemu-aarch64": "qemu-user", "cmake": "cmake"}
MISSING = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs the Debian packages {', '.join(MISSING)}")

Infer = Callable[[NativeNetwork, np.ndarray, str, str], bytes]


@pytest.fixture(scope="module")
def infer(tmp_path_factory: pytest.TempPathFactory) -> Infer:
    """Runs a network on an image under the emulator; gives logits and maps as bytes, or fails with its message."""
    build = tmp_path_factory.mktemp("aarch64")
    toolchain = ROOT / "tests" / "native" / "aarch64-linux-gnu.cmake"
    configure = ["cmake", "-S", ROOT, "-B", build, f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DCXR_EDGE_BUILD_TESTS=ON"]
    make = ["cmake", "--build", build, "--target", "engine_infer", "--parallel", "2"]
    for command in (configure, make):
        subprocess.run(command, check=True, capture_output=True)

    def run(network: NativeNetwork, image: np.ndarray, kernel: str, processor: str) -> bytes:
        (build / "model.native").write_bytes(write_native(network))
        (build / "image").write_bytes(image.tobytes())
        program = ["qemu-aarch64", "-cpu", processor, build / "tests" / "native" / "engine_infer"]
        arguments = [build / "model.native", build / "image", kernel, "1"]
        done = subprocess.run([*program, *arguments], capture_output=True, check=False)
        if done.returncode:
            pytest.fail(done.stderr.decode())
        return done.stdout

    return run


@pytest.mark.parametrize("kernel", ["scalar", "neon-dot-product", "neon-i8mm"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_arm_kernel_gives_the_definitions_bits(infer: Infer, kernel: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng) if seed else Shape((24, 56), (2, 1), stem=32, bottleneck=64, growth=32)
    network = random_network(rng, shape)
    image = random_image(rng, network)
    expected = interpret(network, image)
    assert infer(network, image, kernel, "max") == expected.logit.tobytes() + expected.cam.tobytes()


def test_a_processor_without_dot_products_gets_the_portable_kernel(infer: Infer) -> None:
    """A Cortex-A72, as in a Raspberry Pi 4, has none of the extensions."""
    rng = np.random.default_rng(3)
    network = random_network(rng, Shape(blocks=(1,)))
    image = random_image(rng, network)
    expected = interpret(network, image)
    assert infer(network, image, "best", "cortex-a72") == expected.logit.tobytes() + expected.cam.tobytes()
    with pytest.raises(pytest.fail.Exception, match="does not have the kernel"):
        infer(network, image, "neon-dot-product", "cortex-a72")


def test_a_processor_with_dot_products_alone_takes_them(infer: Infer) -> None:
    """A Neoverse N1 has dot products and no I8MM."""
    rng = np.random.default_rng(4)
    network = random_network(rng, Shape(blocks=(1,)))
    image = random_image(rng, network)
    expected = interpret(network, image)
    assert infer(network, image, "best", "neoverse-n1") == expected.logit.tobytes() + expected.cam.tobytes()
