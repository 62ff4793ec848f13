"""Fixtures that every room's tests share."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tiny_bundle import BundleParts

# With import-mode=importlib the tests are no package: what several of them are built from is imported from here.
sys.path.insert(0, str(Path(__file__).parent / "builders"))

# The same examples in every run: a red CI must mean that the change broke something.
settings.register_profile("reproducible", derandomize=True)
settings.load_profile("reproducible")


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_test_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Engines keep their compiled models in a folder of the test run, never in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXR_EDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def interrupts_that_arrive() -> None:
    """SIGINT does what tests expect, here and in child processes: a shell's background jobs start with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"real test data not present: {folder}")
    return folder


@pytest.fixture(scope="session")
def dicom_folder() -> Path:
    """Real DICOM files beside the checkout; the test is skipped where they are absent."""
    return shared_folder("dicom")


@pytest.fixture(scope="session")
def shenzhen_folder() -> Path:
    """Real Shenzhen X-rays beside the checkout; the test is skipped where they are absent."""
    return shared_folder("data/shenzhen")


@pytest.fixture(scope="session")
def nih_folder() -> Path:
    """Real NIH X-rays beside the checkout; the test is skipped where they are absent."""
    return shared_folder("data/nih")


# Imported inside the fixtures: while one room is broken, the tests of the others still run.


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., bytes]:
    """Makes the ONNX bytes of a tiny model; ``seed``, ``outputs``, ``poison`` and ``side`` vary it."""
    from tiny_bundle import tiny_onnx

    return tiny_onnx


@pytest.fixture(scope="session")
def tiny_model_bytes(tiny_model: Callable[..., bytes]) -> bytes:
    """The tiny model of the tiny bundle."""
    return tiny_model()


@pytest.fixture
def bundle_parts(tiny_model_bytes: bytes) -> BundleParts:
    """Manifest and files of the tiny bundle, free to be spoilt before ``write(directory)`` puts them down unchecked."""
    from tiny_bundle import BundleParts, tiny_files

    return BundleParts(files=tiny_files(tiny_model_bytes))


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a valid bundle with a true golden logit; read-only by agreement."""
    from tiny_bundle import write_valid_bundle

    return write_valid_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
