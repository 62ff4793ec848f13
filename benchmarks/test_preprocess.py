"""Preprocessing beside the resizers that people use: from a stored uint16 frame to the normalised float32 224² input.

Run with ``pytest benchmarks/test_preprocess.py --benchmark-enable``: each group prints its ratios to the fastest, and
``--benchmark-timer=time.process_time`` keeps them honest on a machine that is busy with something else. Every way gets
the same frame (12 bits in uint16, as detectors store it) and one thread. A peer is timed on the least that does the
job: resize to 224 x 224 by area, then normalise the small picture. Pillow reduces integers of 32 bits and resamples
float32; converting a stored frame to them is part of its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cxr_edge.preprocess import native, reference
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Radiograph, Window

SPEC = PreprocessSpec()
MAX_VALUE = 4095
SIZE = (SPEC.width, SPEC.height)

needs_extension = pytest.mark.skipif(not native.available(), reason="installed without the native extension")

Image = NDArray[np.float32]


@pytest.fixture(scope="module")
def radiograph() -> Radiograph:
    """A 3000 x 3000 frame; the values don't matter to any of the ways."""
    pixels = np.random.default_rng(0).integers(0, MAX_VALUE + 1, (3000, 3000), np.uint16)
    return Radiograph(pixels, Window(0, MAX_VALUE))


def normalised(small: NDArray[Any]) -> Image:
    """A resized frame in stored units, mapped to [-1, 1]."""
    return small.astype(np.float32) * np.float32(2.0 / MAX_VALUE) - np.float32(1.0)


@pytest.fixture
def compare(benchmark: Any, radiograph: Radiograph) -> Callable[..., None]:
    """Times one way and checks that it is near the reference, so that a fast wrong way can't win."""

    def run(way: Callable[[], Image], tolerance: float) -> None:
        image = benchmark(way)
        assert image.shape == (SPEC.height, SPEC.width)
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, reference.preprocess(radiograph, SPEC), rtol=0, atol=tolerance)

    return run


@needs_extension
@pytest.mark.benchmark(group="preprocess 3000x3000 uint16, 1 thread")
def test_native(compare: Callable[..., None], radiograph: Radiograph) -> None:
    compare(lambda: native.preprocess(radiograph, SPEC), tolerance=0)


@pytest.mark.benchmark(group="preprocess 3000x3000 uint16, 1 thread")
def test_numpy(compare: Callable[..., None], radiograph: Radiograph, one_blas_thread: None) -> None:
    compare(lambda: reference.preprocess(radiograph, SPEC), tolerance=0)


@pytest.mark.benchmark(group="preprocess 3000x3000 uint16, 1 thread")
def test_opencv_inter_area(compare: Callable[..., None], radiograph: Radiograph) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(1)
    compare(lambda: normalised(cv2.resize(radiograph.pixels, SIZE, interpolation=cv2.INTER_AREA)), tolerance=1e-3)


@pytest.mark.benchmark(group="preprocess 3000x3000 uint16, 1 thread")
def test_pillow_box(compare: Callable[..., None], radiograph: Radiograph) -> None:
    image = pytest.importorskip("PIL.Image")

    def way() -> Image:
        return normalised(np.asarray(image.fromarray(radiograph.pixels.astype(np.float32)).resize(SIZE, image.BOX)))

    # Pillow's box takes whole input pixels only, here 13 or 14 of them a side.
    compare(way, tolerance=0.2)


@pytest.mark.benchmark(group="preprocess 3000x3000 uint16, 1 thread")
def test_pillow_box_with_reducing(compare: Callable[..., None], radiograph: Radiograph) -> None:
    image = pytest.importorskip("PIL.Image")

    def way() -> Image:
        frame = image.fromarray(radiograph.pixels.astype(np.int32))
        return normalised(np.asarray(frame.reduce(6).convert("F").resize(SIZE, image.BOX)))

    compare(way, tolerance=0.3)


@pytest.mark.benchmark(group="preprocess 3000x3000 uint16, 1 thread", min_rounds=3)
def test_skimage_resize(compare: Callable[..., None], radiograph: Radiograph) -> None:
    transform = pytest.importorskip("skimage.transform")

    def way() -> Image:
        shape = (SPEC.height, SPEC.width)
        return normalised(transform.resize(radiograph.pixels, shape, preserve_range=True, anti_aliasing=True))

    # A Gaussian instead of an area: another picture of the same frame.
    compare(way, tolerance=0.3)


@needs_extension
@pytest.mark.parametrize("level", native.simd_levels() if native.available() else ())
@pytest.mark.benchmark(group="native preprocess by SIMD level")
def test_simd_level(compare: Callable[..., None], radiograph: Radiograph, level: str) -> None:
    compare(lambda: native.preprocess(radiograph, SPEC, simd=level), tolerance=0)


@needs_extension
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.benchmark(group="native preprocess by threads")
def test_threads(compare: Callable[..., None], radiograph: Radiograph, threads: int) -> None:
    compare(lambda: native.preprocess(radiograph, SPEC, threads=threads), tolerance=0)


@pytest.fixture
def one_blas_thread() -> Iterator[None]:
    """Keeps numpy's matrix products on one thread, as the other ways are."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(1):
        yield
