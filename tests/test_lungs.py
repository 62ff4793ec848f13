"""The localiser on the device: what it finds in a thumbnail, which models it opens, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import TensorProto
from tiny_lungs import dark_is_lung, drawn, picture

from cxr_edge.errors import BundleError, EngineError, UsageError
from cxr_edge.lung_shape import SNAP
from cxr_edge.lungs import LungLocaliser
from cxr_edge.regions.cells import GRID, CellBox


@pytest.fixture(scope="module")
def localiser() -> LungLocaliser:
    return LungLocaliser.open(dark_is_lung())


def test_two_dark_fields_are_found_with_mask_and_snapped_box(localiser: LungLocaliser) -> None:
    lungs = localiser.locate(picture(drawn()))
    assert lungs.found and lungs.reason is None
    np.testing.assert_array_equal(lungs.mask, drawn())
    assert lungs.mask.dtype == np.bool_
    assert lungs.box == CellBox(24, 20, 84, 88)
    assert not lungs.box.top % SNAP and not lungs.box.left % SNAP


@pytest.mark.parametrize(
    "thumbnail",
    [
        np.full((GRID, GRID), 1, np.float32),
        np.full((GRID, GRID), -1, np.float32),
        np.zeros((GRID, GRID), np.float32),
        np.random.default_rng(0).uniform(-1, 1, (GRID, GRID)).astype(np.float32),
        picture(drawn([(64, 40, 40, 18)])),
    ],
    ids=["white", "black", "grey", "noise", "one field"],
)
def test_where_no_lungs_are_there_is_neither_box_nor_mask_but_a_reason(
    localiser: LungLocaliser, thumbnail: np.ndarray
) -> None:
    lungs = localiser.locate(thumbnail)
    assert (lungs.found, lungs.box) == (False, None)
    assert lungs.mask.shape == (GRID, GRID) and not lungs.mask.any()
    assert lungs.reason


def test_noise_of_an_engines_size_moves_nothing(localiser: LungLocaliser) -> None:
    rows, columns = np.mgrid[:GRID, :GRID]
    lungs = [np.hypot((rows - 65.3) / 40.2, (columns - centre) / 18.2) for centre in (42.3, 85.7)]
    soft = np.minimum(*lungs)  # no cell lies within 1e-3 of the border
    thumbnail = np.clip(4 * (soft - 1), -1, 1).astype(np.float32)
    random = np.random.default_rng(1)
    boxes = {
        localiser.locate(thumbnail + random.normal(0, 1e-5, thumbnail.shape).astype(np.float32)).box for _ in range(10)
    }
    assert boxes == {localiser.locate(thumbnail).box}
    assert None not in boxes


def test_a_view_that_is_not_contiguous_gives_the_same(localiser: LungLocaliser) -> None:
    thumbnail = picture(drawn([(60, 40, 40, 18), (66, 88, 40, 18)]))
    assert localiser.locate(np.asfortranarray(thumbnail)).box == localiser.locate(thumbnail).box


def test_threads_get_what_they_would_get_alone(localiser: LungLocaliser) -> None:
    pictures = [picture(drawn([(60 + i, 40, 40, 18), (60 + i, 88, 40, 18)])) for i in range(8)]
    alone = [localiser.locate(thumbnail).box for thumbnail in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert [lungs.box for lungs in pool.map(localiser.locate, pictures)] == alone
    assert len(set(alone)) > 1


@pytest.mark.parametrize(
    "thumbnail", [np.zeros((GRID, GRID)), np.zeros((64, 64), np.float32), np.zeros((1, GRID, GRID), np.float32)]
)
def test_a_thumbnail_of_another_shape_or_type_is_a_usage_error(localiser: LungLocaliser, thumbnail: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"wants a float32 thumbnail \[128, 128\], not float"):
        localiser.locate(thumbnail)


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": ("image",)},
        {"inputs": ("thumbnail", "other")},
        {"output": "cam"},
        {"shape": ("N", 1, 64, 64)},
        {"shape": (2, 1, GRID, GRID)},
        {"shape": ("N", 3, GRID, GRID)},
        {"kind": TensorProto.DOUBLE},
    ],
    ids=["input name", "two inputs", "output name", "size", "batch", "channels", "type"],
)
def test_a_model_of_another_kind_is_a_bundle_error_that_lists_what_it_has(changes: dict[str, object]) -> None:
    with pytest.raises(BundleError, match=r"must be (thumbnail|lungs) tensor\(float\) .*; the model has "):
        LungLocaliser.open(dark_is_lung(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", b"no model", dark_is_lung()[:-20]], ids=["empty", "text", "truncated"])
def test_bytes_that_are_no_model_are_a_bundle_error(data: bytes) -> None:
    with pytest.raises(BundleError, match="the lung localiser's model"):
        LungLocaliser.open(data)


@pytest.mark.parametrize("gain", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_an_engine_error(gain: float) -> None:
    with LungLocaliser.open(dark_is_lung(gain=gain)) as damaged, pytest.raises(EngineError, match="not finite"):
        damaged.locate(picture(drawn()))


def test_a_closed_localiser_says_so() -> None:
    localiser = LungLocaliser.open(dark_is_lung())
    localiser.close()
    localiser.close()
    with pytest.raises(EngineError, match="is closed"):
        localiser.locate(picture(drawn()))


def test_importing_the_module_loads_no_runtime() -> None:
    program = "import sys, cxr_edge.lungs; print('onnxruntime' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "False"


def test_without_the_runtime_the_error_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineError, match="pip install onnxruntime"):
        LungLocaliser.open(dark_is_lung())
