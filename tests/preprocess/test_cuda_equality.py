"""On a machine with a GPU: the bits that Python gets from it are the reference's. Skipped, with the reason, elsewhere.

tests/native/cuda_equality.cu does the same below Python over thousands of cases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxr_edge.errors import UsageError
from cxr_edge.preprocess import cuda, reference
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import PIXEL_DTYPES, Box, Radiograph, Window

REASON = cuda.unavailable_reason()
pytestmark = pytest.mark.skipif(REASON is not None, reason=f"no GPU preprocessing here: {REASON}")


@pytest.fixture(scope="module")
def driver() -> Any:
    """PyCUDA's driver interface with the first GPU's primary context current."""
    module = pytest.importorskip("pycuda.driver", reason="PyCUDA, which gives the memory, is not installed")
    module.init()
    context = module.Device(0).retain_primary_context()
    context.push()
    yield module
    context.pop()


@pytest.mark.parametrize("dtype", PIXEL_DTYPES, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (300, 421), (224, 224), (1023, 1211), (3000, 3000)], ids=str)
def test_device_memory_gives_the_reference_s_bits(driver: Any, size: tuple[int, int], dtype: Any) -> None:
    limits = np.iinfo(dtype)
    pixels = np.random.default_rng(7).integers(limits.min, limits.max, size, dtype, endpoint=True)
    shown = Radiograph(pixels, Window(int(limits.min), int(limits.max) - 1), inverted=True, padding=(0, 3))
    spec, crop = PreprocessSpec(), Box(size[0] // 5, size[1] // 7, size[0], size[1])
    frame, out = driver.to_device(pixels), driver.mem_alloc(4 * spec.height * spec.width)
    result = np.empty((spec.height, spec.width), np.float32)
    with cuda.CudaPreprocessor.open(spec) as opened:
        opened.run(shown, int(frame), int(out), crop=crop)
    driver.memcpy_dtoh(result, out)
    np.testing.assert_array_equal(result.view(np.uint32), reference.preprocess(shown, spec, crop).view(np.uint32))


def test_ordinary_host_memory_is_refused_before_the_gpu_reads_it(driver: Any) -> None:
    shown = Radiograph(np.zeros((64, 64), np.uint16), Window(0, 4095))
    out = driver.mem_alloc(4 * 224 * 224)
    with cuda.CudaPreprocessor.open(PreprocessSpec()) as opened, pytest.raises(UsageError, match="can reach"):
        opened.run(shown, shown.pixels.ctypes.data, int(out))
