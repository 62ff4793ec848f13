"""ONNX Runtime on a GPU, as far as a machine without one goes; and images bound in place, on host memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from cxr_edge.bundle import open_bundle
from cxr_edge.engines import open_engine
from cxr_edge.engines.onnxruntime_engine import PROVIDERS, OnnxRuntimeEngine
from cxr_edge.errors import EngineError

CUDA = "CUDAExecutionProvider"
without_cuda = pytest.mark.skipif(
    CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime has the CUDA provider"
)


class Session:
    """A session that says which providers it ended up with."""

    def __init__(self, providers: list[str]) -> None:
        self.providers = providers

    def get_providers(self) -> list[str]:
        return self.providers


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """ONNX Runtime as built with the CUDA provider, on a machine whose driver does not let it start.

    The dictionary receives the arguments of the session.
    """
    seen: dict[str, Any] = {}

    def session(model: bytes, settings: Any, **arguments: Any) -> Session:
        seen.update(arguments, settings=settings)
        return Session(["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return seen


def images(count: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-1, 1, (count, 1, 32, 32)).astype(np.float32)


@without_cuda
def test_a_missing_cuda_provider_names_the_package_that_has_it(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError, match="no CUDAExecutionProvider: .* pip install onnxruntime-gpu") as caught:
        open_engine(open_bundle(tiny_bundle), "onnxruntime", device="cuda", precision="fp32")
    assert caught.value.exit_code == 7


def test_a_gpu_without_a_default_precision_in_the_bundle_asks_for_one(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError, match="no default precision for cuda: choose one of fp32"):
        open_engine(open_bundle(tiny_bundle), "onnxruntime", device="cuda")


@pytest.mark.usefixtures("cuda_build")
def test_a_provider_that_does_not_start_is_not_replaced_by_the_cpu(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError, match="could not start CUDAExecutionProvider and offers CPUExecutionProvider"):
        open_engine(open_bundle(tiny_bundle), "onnxruntime", device="cuda", precision="fp32")


def test_the_cuda_session_may_neither_fall_back_nor_round_to_tf32(
    tiny_bundle: Path, cuda_build: dict[str, Any]
) -> None:
    with pytest.raises(EngineError):
        open_engine(open_bundle(tiny_bundle), "onnxruntime", device="cuda", precision="fp32")
    ((name, options),) = cuda_build["providers"]  # one provider: the CPU's is not offered
    assert (name, options["use_tf32"]) == (CUDA, "0")
    assert cuda_build["enable_fallback"] == 0
    assert cuda_build["settings"].get_session_config_entry("session.disable_cpu_ep_fallback") == "1"


def test_this_onnxruntime_knows_the_setting_that_forbids_the_cpu(tiny_model_bytes: bytes) -> None:
    settings = onnxruntime.SessionOptions()
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    settings.log_severity_level = 4
    with pytest.raises(Exception, match="fallback"):
        onnxruntime.InferenceSession(tiny_model_bytes, settings, providers=["CPUExecutionProvider"])


def test_every_device_says_how_it_computes_every_precision() -> None:
    assert {device: set(provider.computed_as) for device, provider in PROVIDERS.items()} == dict.fromkeys(
        ("cpu", "cuda"), {"fp32", "fp16", "int8", "int8-fp16"}
    )


@pytest.mark.parametrize("count", [1, 3])
def test_images_at_an_address_give_the_bits_of_images_in_an_array(tiny_bundle: Path, count: int) -> None:
    with open_engine(open_bundle(tiny_bundle), "onnxruntime") as engine:
        assert isinstance(engine, OnnxRuntimeEngine)
        batch = images(count)
        there, here = engine.infer_at(batch.ctypes.data, count), engine.infer(batch)
        assert there.logit.tobytes() == here.logit.tobytes()
        assert there.cam.tobytes() == here.cam.tobytes()


def test_an_impossible_count_at_an_address_is_an_engine_error(tiny_bundle: Path) -> None:
    with open_engine(open_bundle(tiny_bundle), "onnxruntime") as engine:
        assert isinstance(engine, OnnxRuntimeEngine)
        with pytest.raises(EngineError, match="failed on a batch of -1"):
            engine.infer_at(images(1).ctypes.data, -1)


def test_images_at_an_address_that_hold_nan_give_no_decision(tiny_bundle: Path) -> None:
    batch = np.full((1, 1, 32, 32), np.nan, np.float32)
    with open_engine(open_bundle(tiny_bundle), "onnxruntime") as engine:
        assert isinstance(engine, OnnxRuntimeEngine)
        with pytest.raises(EngineError, match="NaN or infinity"):
            engine.infer_at(batch.ctypes.data, 1)


def test_a_closed_engine_takes_no_address(tiny_bundle: Path) -> None:
    engine = open_engine(open_bundle(tiny_bundle), "onnxruntime")
    assert isinstance(engine, OnnxRuntimeEngine)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer_at(images(1).ctypes.data, 1)
