"""The public call: choice of the implementation, output in place, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from cxr_edge.errors import ResourceLimitError, UsageError
from cxr_edge.preprocess import implementation, native, preprocess, reference
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Box, Radiograph, Window

needs_extension = pytest.mark.skipif(not native.available(), reason="installed without the native extension")
SPEC = PreprocessSpec(20, 30)


@pytest.fixture(params=["numpy", pytest.param("native", marks=needs_extension)])
def chosen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CXR_EDGE_PREPROCESS", request.param)
    return str(request.param)


@pytest.fixture
def radiograph() -> Radiograph:
    return Radiograph(np.random.default_rng(0).integers(0, 4096, (100, 80), np.uint16), Window(10, 4000))


def test_environment_chooses_the_implementation(chosen: str) -> None:
    assert implementation().split()[0] == chosen


@needs_extension
def test_native_is_taken_by_default_and_names_its_simd_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXR_EDGE_PREPROCESS", raising=False)
    assert implementation() == f"native {native.simd_level()}"


def test_an_installation_without_the_extension_imports_and_uses_numpy() -> None:
    code = (
        "import sys; sys.modules['cxr_edge._native'] = None; import cxr_edge.preprocess as p; print(p.implementation())"
    )
    environment = {key: value for key, value in os.environ.items() if key != "CXR_EDGE_PREPROCESS"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.strip() == "numpy"


def test_numpy_is_taken_where_the_extension_is_missing(monkeypatch: pytest.MonkeyPatch, radiograph: Radiograph) -> None:
    monkeypatch.delenv("CXR_EDGE_PREPROCESS", raising=False)
    monkeypatch.setattr(native, "_native", None)
    assert implementation() == "numpy"
    np.testing.assert_array_equal(preprocess(radiograph, SPEC), reference.preprocess(radiograph, SPEC))


def test_native_that_is_asked_for_but_missing_is_an_error(
    monkeypatch: pytest.MonkeyPatch, radiograph: Radiograph
) -> None:
    monkeypatch.setenv("CXR_EDGE_PREPROCESS", "native")
    monkeypatch.setattr(native, "_native", None)
    with pytest.raises(UsageError, match="compiler"):
        preprocess(radiograph, SPEC)


def test_unknown_choice_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_EDGE_PREPROCESS", "gpu")
    with pytest.raises(UsageError, match="gpu"):
        implementation()


@pytest.mark.usefixtures("chosen")
def test_out_is_written_in_place_and_returned(radiograph: Radiograph) -> None:
    batch = np.full((2, 1, 20, 30), np.nan, np.float32)
    result = preprocess(radiograph, SPEC, out=batch[1, 0])
    assert np.shares_memory(result, batch)
    np.testing.assert_array_equal(batch[1, 0], reference.preprocess(radiograph, SPEC))
    assert np.isnan(batch[0]).all()


def read_only() -> Any:
    out = np.empty((20, 30), np.float32)
    out.flags.writeable = False
    return out


@pytest.mark.usefixtures("chosen")
@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.empty((20, 31), np.float32), r"float32 \[20, 31\]; this spec needs float32 \[20, 30\]"),
        (np.empty((1, 20, 30), np.float32), r"\[1, 20, 30\]"),
        (np.empty((20, 30), np.float64), "float64"),
        (np.empty((30, 20), np.float32).T, "C-contiguous"),
        (read_only(), "writable"),
    ],
    ids=["shape", "dimensions", "type", "order", "read-only"],
)
def test_out_that_does_not_fit_is_refused(radiograph: Radiograph, out: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        preprocess(radiograph, SPEC, out=out)


@pytest.mark.usefixtures("chosen")
def test_crop_outside_the_frame_is_refused(radiograph: Radiograph) -> None:
    with pytest.raises(UsageError, match="outside"):
        preprocess(radiograph, SPEC, Box(100, 0, 10, 10))


@pytest.mark.usefixtures("chosen")
def test_no_threads_are_refused(radiograph: Radiograph) -> None:
    with pytest.raises(UsageError, match="threads=0"):
        preprocess(radiograph, SPEC, threads=0)


@pytest.mark.usefixtures("chosen")
def test_a_side_above_65535_is_refused_but_may_be_cropped() -> None:
    radiograph = Radiograph(np.zeros((65_536, 2), np.uint8), Window(0, 255))
    with pytest.raises(ResourceLimitError, match="65535"):
        preprocess(radiograph, PreprocessSpec(2, 2))
    assert (preprocess(radiograph, PreprocessSpec(2, 2), Box(1, 0, 65_535, 2)) == -1.0).all()


@needs_extension
def test_unknown_simd_level_is_refused(radiograph: Radiograph) -> None:
    with pytest.raises(UsageError, match="mmx"):
        native.preprocess(radiograph, SPEC, simd="mmx")


@needs_extension
def test_scalar_level_runs_everywhere() -> None:
    assert native.simd_levels()[0] == "scalar"
