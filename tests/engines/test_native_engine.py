"""Our own engine keeps the contract of every engine, on a bundle whose INT8 model is a random network of integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_native import Shape, random_network

from cxr_edge.bundle import Bundle, ModelEntry, open_bundle
from cxr_edge.engines import EngineOptions, available_threads
from cxr_edge.errors import EngineError, UsageError
from export.native_model import NativeNetwork, interpret, write_native

_native = pytest.importorskip("cxr_edge._native", reason="installed without the native extension")

from cxr_edge.engines.native_engine import NATIVE_FILE, NativeEngine  # noqa: E402

BundleOf = Callable[[bytes | None], Bundle]


def tiny_network(**changes: Any) -> NativeNetwork:
    return random_network(np.random.default_rng(11), Shape(**{"blocks": (2,), **changes}))


@pytest.fixture
def bundle_of(bundle_parts: Any, tmp_path: Path) -> BundleOf:
    """A verified bundle whose artefact is the given bytes; None for a bundle without."""

    def make(model: bytes | None) -> Bundle:
        bundle_parts.files["model.int8.onnx"] = bundle_parts.files["model.fp32.onnx"]
        golden = bundle_parts.manifest.golden
        bundle_parts.manifest.models["int8"] = ModelEntry(
            "model.int8.onnx", ("native",), ("native",), native=None if model is None else NATIVE_FILE
        )
        golden.logit["int8"], golden.tolerance["int8"] = golden.logit["fp32"], golden.tolerance["fp32"]
        if model is not None:
            bundle_parts.files[NATIVE_FILE] = model
        return open_bundle(bundle_parts.write(tmp_path / "b"))

    return make


def options(threads: int = 1, precision: str = "int8") -> EngineOptions:
    return EngineOptions(precision, "cpu", threads)


@pytest.fixture
def engine(bundle_of: BundleOf) -> Iterator[NativeEngine]:
    with NativeEngine(bundle_of(write_native(tiny_network())), options()) as opened:
        assert isinstance(opened, NativeEngine)
        yield opened


def images(count: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 1, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 3])
def test_shapes_and_types_follow_the_contract(engine: NativeEngine, count: int) -> None:
    output = engine.infer(images(count))
    assert output.logit.shape == (count, 1)
    assert output.cam.shape == (count, 1, 8, 8)
    assert output.logit.dtype == output.cam.dtype == np.float32


def test_every_image_of_a_batch_gets_the_definitions_bits(engine: NativeEngine) -> None:
    batch = images(3)
    output = engine.infer(batch)
    for number in range(3):
        expected = interpret(tiny_network(), batch[number, 0])
        assert output.logit[number].tobytes() == expected.logit.tobytes()
        assert output.cam[number].tobytes() == expected.cam.tobytes()


def test_the_logit_is_the_mean_of_the_map(engine: NativeEngine) -> None:
    output = engine.infer(images(3))
    np.testing.assert_allclose(output.logit, output.cam.mean(axis=(2, 3)), rtol=0, atol=2e-6)


def test_an_input_is_not_changed_and_an_output_is_not_overwritten(engine: NativeEngine) -> None:
    batch = images(1)
    before = batch.copy()
    output = engine.infer(batch)
    kept = output.cam.copy()
    engine.infer(images(1, seed=4))
    assert np.array_equal(batch, before)
    assert np.array_equal(output.cam, kept)


@pytest.mark.parametrize("threads", range(1, available_threads() + 1))
def test_eight_callers_get_the_bits_of_one_whatever_the_threads(bundle_of: BundleOf, threads: int) -> None:
    batches = [images(1, seed) for seed in range(32)]
    with NativeEngine(bundle_of(write_native(tiny_network())), options(threads)) as opened:
        serial = [opened.infer(batch) for batch in batches]
        with ThreadPoolExecutor(8) as pool:
            parallel = list(pool.map(opened.infer, batches))
        assert opened.describe().threads == threads
    for one, other in zip(serial, parallel, strict=True):
        assert one.logit.tobytes() == other.logit.tobytes()
        assert one.cam.tobytes() == other.cam.tobytes()


WRONG_IMAGES = {
    "three channels": np.zeros((1, 3, 32, 32), np.float32),
    "other size": np.zeros((1, 1, 32, 33), np.float32),
    "float64": np.zeros((1, 1, 32, 32)),
    "every other column": np.zeros((1, 1, 32, 64), np.float32)[..., ::2],
    "NaN": np.full((1, 1, 32, 32), np.nan, np.float32),
    "infinity": np.full((1, 1, 32, 32), np.inf, np.float32),
}


@pytest.mark.parametrize("case", WRONG_IMAGES)
def test_images_of_another_form_are_a_usage_error(engine: NativeEngine, case: str) -> None:
    with pytest.raises(UsageError, match="images"):
        engine.infer(WRONG_IMAGES[case])


def test_an_engine_says_what_runs(engine: NativeEngine) -> None:
    description = engine.describe()
    assert (description.name, description.precision, description.device) == ("native", "int8", "cpu")
    assert description.computed_as in {f"int8 stored, int8 computed ({kernel})" for kernel in _native.kernels()}
    assert description.threads == 1
    assert description.runtime_version[0].isdigit()


@pytest.mark.parametrize("kernel", _native.kernels())
def test_a_kernel_can_be_asked_for(bundle_of: BundleOf, kernel: str) -> None:
    with NativeEngine(bundle_of(write_native(tiny_network())), options(), kernel) as opened:
        assert kernel in opened.describe().computed_as


def test_a_kernel_of_another_processor_is_refused(bundle_of: BundleOf) -> None:
    other = "neon-i8mm" if "avx2" in _native.kernels() else "avx2"
    with pytest.raises(EngineError, match="does not have the kernel"):
        NativeEngine(bundle_of(write_native(tiny_network())), options(), other)


@pytest.mark.parametrize("variation", [{"outputs": 2}, {"side": (64, 32)}])
def test_a_model_of_another_shape_than_the_manifest_says_is_refused(
    bundle_of: BundleOf, variation: dict[str, Any]
) -> None:
    with pytest.raises(EngineError, match="the bundle needs"):
        NativeEngine(bundle_of(write_native(tiny_network(**variation))), options())


@pytest.mark.parametrize("model", [b"", b"CXRNATIV", bytes(4096)])
def test_a_verified_file_that_is_no_model_is_an_engine_error(bundle_of: BundleOf, model: bytes) -> None:
    with pytest.raises(EngineError, match=r"cannot load model\.native"):
        NativeEngine(bundle_of(model), options())


def test_a_bundle_without_the_artefact_says_so(bundle_of: BundleOf) -> None:
    with pytest.raises(EngineError, match=r"has no model\.native"):
        NativeEngine(bundle_of(None), options())


def test_another_precision_is_refused(bundle_of: BundleOf) -> None:
    with pytest.raises(EngineError, match="computes int8, not fp32"):
        NativeEngine(bundle_of(write_native(tiny_network())), options(precision="fp32"))


@pytest.mark.parametrize("threads", [0, 100_000])
def test_a_number_of_threads_that_the_machine_has_not_is_refused(bundle_of: BundleOf, threads: int) -> None:
    with pytest.raises(EngineError, match=f"threads must be 1 to {available_threads()}"):
        NativeEngine(bundle_of(write_native(tiny_network())), options(threads))


def test_a_closed_engine_refuses_and_closes_again(bundle_of: BundleOf) -> None:
    opened = NativeEngine(bundle_of(write_native(tiny_network())), options())
    opened.close()
    opened.close()
    with pytest.raises(EngineError, match="closed"):
        opened.infer(images(1))


def test_threads_in_use_when_it_is_closed_finish_or_get_an_engine_error(bundle_of: BundleOf) -> None:
    opened = NativeEngine(bundle_of(write_native(tiny_network())), options(available_threads()))
    expected = opened.infer(images(1)).logit

    def infer(_: int) -> bool:
        try:
            return bool(np.array_equal(opened.infer(images(1)).logit, expected))
        except EngineError:
            return True

    with ThreadPoolExecutor(4) as pool:
        outcomes = pool.map(infer, range(100))
        opened.close()
        assert all(outcomes)
