"""What every engine must do. A new engine joins by its row in the table; tolerances stand in one place, here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_edge.bundle import Bundle, ModelEntry, open_bundle
from cxr_edge.engines import ENGINES, Engine, available_threads, open_engine
from cxr_edge.errors import EngineError, UsageError

# Largest |logit - mean(cam)| by engine and precision: both are sums of the same float32 numbers in another order.
MEAN_TOLERANCE = {("onnxruntime", "fp32"): 2e-6, ("openvino", "fp32"): 2e-6}

# Engines of a GPU need plans that only a device with one can build; tests/engines/tensorrt has their tests. Our own
# runs no ONNX; test_native_engine.py holds it to the same contract.
CPU_ENGINES = [row for row in ENGINES if row.devices[0] == "cpu" and row.name != "native"]
EACH_ENGINE = [
    pytest.param(
        row.name,
        marks=pytest.mark.skipif(not row.is_installed(), reason=f"not installed: {row.remedy}"),
    )
    for row in CPU_ENGINES
]


@pytest.fixture(scope="module")
def contract_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny bundle, with its model allowed for every engine."""
    from tiny_bundle import BundleParts

    tiny = open_bundle(tiny_bundle)
    names = tuple(row.name for row in CPU_ENGINES)
    models = {"fp32": ModelEntry("model.fp32.onnx", names, names)}
    parts = BundleParts(replace(tiny.manifest, models=models), {n: tiny.file_bytes(n) for n in tiny.manifest.files})
    return open_bundle(parts.write(tmp_path_factory.mktemp("contract") / "b"))


@pytest.fixture(scope="module", params=EACH_ENGINE)
def engine(request: pytest.FixtureRequest, contract_bundle: Bundle) -> Iterator[Engine]:
    with open_engine(contract_bundle, engine=request.param) as opened:
        yield opened


@pytest.fixture(params=EACH_ENGINE)
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bundle_of(bundle_parts: Any, tmp_path: Path, engine_name: str) -> Callable[[bytes], Bundle]:
    """A verified bundle of any model file, allowed for the engine."""

    def make(model: bytes) -> Bundle:
        bundle_parts.files["model.fp32.onnx"] = model
        bundle_parts.manifest.models["fp32"] = ModelEntry("model.fp32.onnx", (engine_name,), (engine_name,))
        return open_bundle(bundle_parts.write(tmp_path / "b"))

    return make


def images(count: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 1, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 3])
def test_shapes_and_types_follow_the_contract(engine: Engine, count: int) -> None:
    output = engine.infer(images(count))
    assert output.logit.shape == (count, 1)
    assert output.cam.shape == (count, 1, 8, 8)
    assert output.logit.dtype == output.cam.dtype == np.float32


def test_the_logit_is_the_mean_of_the_map(engine: Engine) -> None:
    output = engine.infer(images(3))
    description = engine.describe()
    tolerance = MEAN_TOLERANCE[description.name, description.precision]
    np.testing.assert_allclose(output.logit, output.cam.mean(axis=(2, 3)), rtol=0, atol=tolerance)


def test_the_golden_logit_comes_out(engine: Engine, contract_bundle: Bundle) -> None:
    from cxr_edge.preprocess.reference import preprocess

    bundle = contract_bundle
    golden = bundle.manifest.golden
    network_input = preprocess(bundle.golden_radiograph(), bundle.manifest.preprocess)
    logit = engine.infer(network_input[None, None]).logit[0]
    np.testing.assert_allclose(logit, golden.logit["fp32"], rtol=0, atol=golden.tolerance["fp32"])


def test_the_same_image_gives_the_same_bits_every_time(engine: Engine) -> None:
    first, second = engine.infer(images(1)), engine.infer(images(1))
    assert first.logit.tobytes() == second.logit.tobytes()
    assert first.cam.tobytes() == second.cam.tobytes()


def test_an_image_has_the_same_logit_in_a_batch_as_alone(engine: Engine) -> None:
    batch = images(3)
    alone = [engine.infer(batch[number : number + 1]) for number in range(3)]
    together = engine.infer(batch)
    np.testing.assert_allclose(together.logit, [one.logit[0] for one in alone], rtol=0, atol=1e-6)
    np.testing.assert_allclose(together.cam, [one.cam[0] for one in alone], rtol=0, atol=1e-6)


def test_different_images_give_different_logits(engine: Engine) -> None:
    logits = engine.infer(images(3)).logit
    assert len(np.unique(logits)) == 3


def test_an_input_is_not_changed_and_an_output_is_not_overwritten(engine: Engine) -> None:
    batch = images(1)
    before = batch.copy()
    output = engine.infer(batch)
    kept = output.cam.copy()
    engine.infer(images(1, seed=4))
    assert np.array_equal(batch, before)
    assert np.array_equal(output.cam, kept)


def test_eight_threads_give_the_bits_of_one(engine: Engine) -> None:
    batches = [images(1, seed) for seed in range(64)]
    serial = [engine.infer(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(engine.infer, batches))
    for one, other in zip(serial, parallel, strict=True):
        assert one.logit.tobytes() == other.logit.tobytes()
        assert one.cam.tobytes() == other.cam.tobytes()


WRONG_IMAGES = {
    "three channels": np.zeros((1, 3, 32, 32), np.float32),
    "other size": np.zeros((1, 1, 32, 33), np.float32),
    "no batch axis": np.zeros((1, 32, 32), np.float32),
    "empty batch": np.zeros((0, 1, 32, 32), np.float32),
    "float64": np.zeros((1, 1, 32, 32)),
    "uint8": np.zeros((1, 1, 32, 32), np.uint8),
    "transposed": np.zeros((32, 32, 1, 1), np.float32).T,
    "every other column": np.zeros((1, 1, 32, 64), np.float32)[..., ::2],
    "NaN": np.full((1, 1, 32, 32), np.nan, np.float32),
}


@pytest.mark.parametrize("case", WRONG_IMAGES)
def test_images_of_another_form_are_a_usage_error(engine: Engine, case: str) -> None:
    with pytest.raises(UsageError, match="images"):
        engine.infer(WRONG_IMAGES[case])


def test_an_engine_says_what_runs(engine: Engine) -> None:
    description = engine.describe()
    assert description.name in {row.name for row in ENGINES}
    assert (description.precision, description.device) == ("fp32", "cpu")
    assert description.computed_as == "fp32 stored, fp32 computed"
    assert 1 <= description.threads <= available_threads()  # OpenVINO may take one of two that share a core
    assert description.runtime_version[0].isdigit()


def test_warming_up_leaves_results_as_they_are(engine: Engine) -> None:
    before = engine.infer(images(1)).logit
    engine.warm_up()
    assert np.array_equal(engine.infer(images(1)).logit, before)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_give_an_error_and_no_decision(
    bundle_of: Callable[[bytes], Bundle], tiny_model: Callable[..., bytes], engine_name: str, poison: float
) -> None:
    with (
        open_engine(bundle_of(tiny_model(poison=poison)), engine_name) as opened,
        pytest.raises(EngineError, match="NaN or infinity"),
    ):
        opened.infer(images(1))


@pytest.mark.parametrize("variation", [{"outputs": 2}, {"side": 64}])
def test_a_model_of_another_shape_than_the_manifest_says_is_refused(
    bundle_of: Callable[[bytes], Bundle], tiny_model: Callable[..., bytes], engine_name: str, variation: dict[str, int]
) -> None:
    bundle = bundle_of(tiny_model(**variation))
    with pytest.raises(EngineError, match="the bundle needs"):
        open_engine(bundle, engine_name)


@pytest.mark.parametrize("model", [b"", b"\x08\x08", b"\x3a\x00"])
def test_a_verified_file_that_is_no_model_is_an_engine_error(
    bundle_of: Callable[[bytes], Bundle], engine_name: str, model: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EngineError, match="cannot load"):
        open_engine(bundle_of(model), engine_name)
    assert capfd.readouterr().err == ""


def test_a_closed_engine_refuses_and_closes_again(engine_name: str, contract_bundle: Bundle) -> None:
    opened = open_engine(contract_bundle, engine_name)
    opened.close()
    opened.close()
    with pytest.raises(EngineError, match="closed"):
        opened.infer(images(1))


def test_leaving_the_context_closes(engine_name: str, contract_bundle: Bundle) -> None:
    with open_engine(contract_bundle, engine_name) as opened:
        opened.infer(images(1))
    with pytest.raises(EngineError, match="closed"):
        opened.infer(images(1))


def test_threads_in_use_when_it_is_closed_finish_or_get_an_engine_error(
    engine_name: str, contract_bundle: Bundle
) -> None:
    opened = open_engine(contract_bundle, engine_name)
    expected = opened.infer(images(1)).logit

    def infer(_: int) -> bool:
        try:
            return bool(np.array_equal(opened.infer(images(1)).logit, expected))
        except EngineError:
            return True

    with ThreadPoolExecutor(4) as pool:
        outcomes = pool.map(infer, range(200))
        opened.close()
        assert all(outcomes)


def test_one_thread_computes_what_all_threads_compute(engine_name: str, contract_bundle: Bundle) -> None:
    with open_engine(contract_bundle, engine_name, threads=1) as single:
        assert single.describe().threads == 1
        logit = single.infer(images(1)).logit
    with open_engine(contract_bundle, engine_name) as every:
        np.testing.assert_allclose(every.infer(images(1)).logit, logit, rtol=0, atol=1e-6)
