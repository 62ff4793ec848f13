"""Preprocessing on a GPU says why it can't run, checks what it is given, and hands the extension the right numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxr_edge.errors import EngineError, ResourceLimitError, UsageError
from cxr_edge.preprocess import cuda
from cxr_edge.preprocess.spec import PreprocessSpec, linear_map
from cxr_edge.records import PIXEL_DTYPES, Box, Radiograph, Window


class RecordingExtension:
    """Stands in for an extension with CUDA on a machine with a GPU: keeps what it is called with."""

    CUDA_BUILD = "CUDA 13.0, sm_90"

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.error = error
        self.device = 3

    def cuda_unavailable_reason(self) -> None:
        return None

    def CudaPreprocess(self) -> RecordingExtension:  # noqa: N802 - the name of the extension's class
        return self

    def run(self, *arguments: Any) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append(arguments)


class ExtensionWithout:
    """An extension with CUDA where the driver or the GPU's code is missing."""

    CUDA_BUILD = "CUDA 13.0, sm_90"

    def __init__(self, reason: str | None) -> None:
        self.reason = reason

    def cuda_unavailable_reason(self) -> str | None:
        return self.reason

    def CudaPreprocess(self) -> None:  # noqa: N802
        raise RuntimeError("this build has no code for the GPU's architecture (cudaErrorNoKernelImageForDevice, 209)")


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> RecordingExtension:
    recording = RecordingExtension()
    monkeypatch.setattr(cuda, "_native", recording)
    return recording


def radiograph(height: int = 30, width: int = 41, dtype: Any = np.uint16, **display: Any) -> Radiograph:
    return Radiograph(np.zeros((height, width), dtype), **{"window": Window(0, 4095), **display})


def test_here_it_opens_or_says_why_not() -> None:
    reason = cuda.unavailable_reason()
    if reason is None:
        pytest.skip("a GPU is here; tests/preprocess/test_cuda_equality.py uses it")
    with pytest.raises(EngineError, match="can't run here") as caught:
        cuda.CudaPreprocessor.open(PreprocessSpec())
    assert reason in str(caught.value)


def test_an_installation_without_the_extension_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_native", None)
    assert "not part of this installation" in str(cuda.unavailable_reason())
    assert cuda.build() == ""


def test_an_extension_older_than_the_python_code_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_native", object())
    assert "reinstall" in str(cuda.unavailable_reason())


def test_a_build_without_cuda_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    without = ExtensionWithout("this build of cxr-edge has no CUDA code")
    without.CUDA_BUILD = ""  # type: ignore[misc]
    monkeypatch.setattr(cuda, "_native", without)
    assert "nvcc" in str(cuda.unavailable_reason())


def test_a_gpu_that_the_build_has_no_code_for_is_an_engine_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_native", ExtensionWithout(None))
    with pytest.raises(EngineError, match=r"NoKernelImage.*built with CUDA 13\.0, sm_90"):
        cuda.CudaPreprocessor.open(PreprocessSpec())


@pytest.mark.parametrize("dtype", PIXEL_DTYPES, ids=str)
def test_rows_begin_at_multiples_of_16_bytes(dtype: Any) -> None:
    for width in (1, 7, 8, 16, 17, 3000):
        stride = cuda.row_stride(width, dtype)
        assert stride % 16 == 0
        assert 0 <= stride - width * np.dtype(dtype).itemsize < 16


def test_buffer_sizes_are_those_of_the_largest_frame(extension: RecordingExtension) -> None:
    opened = cuda.CudaPreprocessor.open(PreprocessSpec(224, 256), 3000, 2501)
    assert opened.frame_bytes(np.uint16) == 3000 * 5008
    assert opened.output_bytes == 224 * 256 * 4
    assert opened.device == 3


def test_the_extension_gets_the_frame_the_crop_and_the_reference_s_two_doubles(extension: RecordingExtension) -> None:
    spec = PreprocessSpec(20, 24)
    shown = radiograph(dtype=np.int16, window=Window(-5, 900), padding=(-9, -7), inverted=True)
    opened = cuda.CudaPreprocessor.open(spec)
    opened.run(shown, 4096, 8192, row_stride=96, crop=Box(-2, 3, 10, 100), stream=77)
    box = Box(0, 3, 8, 38)
    mapping = linear_map(shown, spec, box)
    assert extension.calls == [
        (4096, 3, (30, 41), 96, (0, 3, 8, 38), (-5, 900), (-9, -7), True, (mapping.scale, mapping.offset))
        + (8192, (20, 24), 77)
    ]


def test_rows_are_without_gaps_unless_told_otherwise(extension: RecordingExtension) -> None:
    cuda.CudaPreprocessor.open(PreprocessSpec()).run(radiograph(), 4096, 8192)
    assert extension.calls[0][3] == 82
    assert extension.calls[0][-1] == 0


@pytest.mark.parametrize(("dtype", "number"), list(zip(PIXEL_DTYPES, (0, 1, 2, 3), strict=True)))
def test_pixel_types_have_the_c_interface_s_numbers(extension: RecordingExtension, dtype: Any, number: int) -> None:
    cuda.CudaPreprocessor.open(PreprocessSpec()).run(radiograph(dtype=dtype), 4096, 8192)
    assert extension.calls[0][1] == number


@pytest.mark.parametrize("size", [(31, 41), (30, 42)], ids=str)
def test_a_frame_above_the_limit_never_reaches_the_gpu(extension: RecordingExtension, size: tuple[int, int]) -> None:
    opened = cuda.CudaPreprocessor.open(PreprocessSpec(), 30, 41)
    with pytest.raises(ResourceLimitError, match="30x41"):
        opened.run(radiograph(*size), 4096, 8192)
    assert not extension.calls


def test_a_part_of_too_many_pixels_a_side_is_a_resource_limit(extension: RecordingExtension) -> None:
    opened = cuda.CudaPreprocessor.open(PreprocessSpec(), 70_000, 70_000)
    with pytest.raises(ResourceLimitError, match="65535"):
        opened.run(radiograph(65_536, 1), 4096, 8192)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(ValueError("not aligned memory"), UsageError), (RuntimeError("cudaErrorLaunchFailure, 719"), EngineError)],
    ids=["argument", "cuda"],
)
def test_what_the_extension_raises_becomes_an_error_of_the_tree(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: type[Exception]
) -> None:
    monkeypatch.setattr(cuda, "_native", RecordingExtension(raised))
    with pytest.raises(expected, match=str(raised)):
        cuda.CudaPreprocessor.open(PreprocessSpec()).run(radiograph(), 4096, 8192)


def test_closed_twice_is_fine_and_used_after_is_an_engine_error(extension: RecordingExtension) -> None:
    with cuda.CudaPreprocessor.open(PreprocessSpec()) as opened:
        pass
    opened.close()
    with pytest.raises(EngineError, match="closed"):
        opened.run(radiograph(), 4096, 8192)
