"""cxr_edge._native itself never converts what it is given, and never trusts it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

_native = pytest.importorskip("cxr_edge._native", reason="installed without the native extension")


def call(pixels: Any, out: Any = None, **changes: Any) -> Any:
    arguments = {
        "pixels": pixels,
        "crop": (0, 0, 8, 8),
        "window": (0, 255),
        "padding": None,
        "inverted": False,
        "map": (1.0, 0.0),
        "out": np.zeros((4, 4), np.float32) if out is None else out,
        "threads": 1,
        "simd": "scalar",
        **changes,
    }
    return _native.preprocess(**arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.bool_, ">u2", np.complex64], ids=str)
def test_other_pixel_types_are_refused_not_cast(dtype: Any) -> None:
    with pytest.raises((TypeError, BufferError)):
        call(np.ones((8, 8), dtype))


def test_output_of_another_type_is_refused_not_copied() -> None:
    with pytest.raises(TypeError):
        call(np.ones((8, 8), np.uint8), np.zeros((4, 4), np.float64))


@pytest.mark.parametrize(
    "pixels", [np.ones((8, 16), np.uint8)[:, ::2], np.ones((8, 8, 1), np.uint8)], ids=["strided", "3-d"]
)
def test_frames_that_are_not_plain_rows_are_refused(pixels: Any) -> None:
    with pytest.raises(TypeError):
        call(pixels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": (0, 1, 8, 8)}, "crop"),
        ({"window": (5, 5)}, "window"),
        ({"threads": 0}, "threads"),
        ({"simd": "mmx"}, "mmx"),
        ({"simd": "neon" if "avx2" in _native.simd_levels() else "avx2"}, "SIMD level"),
    ],
    ids=["crop", "window", "threads", "unknown level", "other processor's level"],
)
def test_values_that_the_c_interface_refuses_are_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.ones((8, 8), np.uint8), **changes)
