"""What was found fastest here is preferred by ``auto`` as long as it holds; else it is as if it were not there."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cxr_edge.bundle import Bundle, ModelEntry, open_bundle
from cxr_edge.engines import ENGINES, available_threads, engine_row, open_engine
from cxr_edge.engines.tuning import (
    TunedModel,
    Tuning,
    forget_tuning,
    store_tuning,
    stored_tuning,
    tuning_key,
)
from cxr_edge.errors import UsageError

CORES = available_threads()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXR_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bundle(bundle_parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Two engines have passed for its model: ``slow``, which the table puts first, and ONNX Runtime."""
    slow = dataclasses.replace(engine_row("onnxruntime"), name="slow")
    monkeypatch.setattr("cxr_edge.engines.opening.ENGINES", (slow, *ENGINES))
    names = ("slow", "onnxruntime")
    bundle_parts.manifest.models["fp32"] = ModelEntry("model.fp32.onnx", names, names)
    return open_bundle(bundle_parts.write(tmp_path / "bundle"))


def ranked(*engines: str, threads: int = 1, precision: str = "fp32") -> tuple[TunedModel, ...]:
    return tuple(TunedModel(engine, precision, threads, float(place)) for place, engine in enumerate(engines, 1))


def store(bundle: Bundle, *models: TunedModel) -> Path:
    return store_tuning(bundle, Tuning(tuning_key(bundle, CORES), models))


def chosen(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[str, int]:
    """Name of the row that ``auto`` would load, and threads."""
    seen: list[tuple[str, int]] = []

    def load(row: Any) -> Callable[..., None]:
        return lambda opened, settings: seen.append((row.name, settings.threads))

    monkeypatch.setattr("cxr_edge.engines.registry.EngineRow.load", load)
    open_engine(bundle, **options)
    return seen[0]


def test_auto_prefers_what_was_fastest_with_its_threads(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(bundle, monkeypatch) == ("slow", CORES)
    store(bundle, *ranked("onnxruntime", "slow"))
    assert chosen(bundle, monkeypatch) == ("onnxruntime", 1)


def test_what_the_caller_asks_for_comes_before_what_was_fastest(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(bundle, TunedModel("onnxruntime", "fp32", 1, 1.0), TunedModel("slow", "fp32", CORES, 2.0))
    assert chosen(bundle, monkeypatch, engine="onnxruntime") == ("onnxruntime", CORES)
    assert chosen(bundle, monkeypatch, threads=1) == ("onnxruntime", 1)
    if CORES > 1:
        assert chosen(bundle, monkeypatch, threads=CORES) == ("slow", CORES)


def test_threads_that_the_machine_has_not_stay_an_error(bundle: Bundle) -> None:
    store(bundle, *ranked("onnxruntime", threads=CORES + 1))
    with pytest.raises(UsageError, match="threads must be"):
        open_engine(bundle, threads=CORES + 1)


def test_an_engine_that_did_not_pass_its_parity_gate_is_never_preferred(
    bundle_parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    bundle_parts.manifest.models["fp32"] = ModelEntry("model.fp32.onnx", ("slow", "onnxruntime"), ("slow",))
    strict = open_bundle(bundle_parts.write(tmp_path / "strict"))
    store(strict, *ranked("onnxruntime", "no-such-engine"))
    assert chosen(strict, monkeypatch) == ("slow", CORES)


@pytest.mark.parametrize("field", ["bundle_sha256", "processor", "usable_cores", "versions"])
def test_a_tuning_of_another_bundle_machine_or_version_is_ignored(bundle: Bundle, field: str) -> None:
    other: dict[str, Any] = {
        "bundle_sha256": "0" * 64,
        "processor": "another one",
        "usable_cores": CORES + 1,
        "versions": {"onnxruntime": "0.1"},
    }
    key = dataclasses.replace(tuning_key(bundle, CORES), **{field: other[field]})
    store_tuning(bundle, Tuning(key, ranked("onnxruntime")))
    assert stored_tuning(bundle, CORES) is None


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"schema": 2}', b'{"schema": 1, "key": {}, "ranked": []}', b"\xff"]
)
def test_a_damaged_tuning_is_ignored(bundle: Bundle, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    store(bundle, *ranked("onnxruntime")).write_bytes(data)
    assert stored_tuning(bundle, CORES) is None
    assert chosen(bundle, monkeypatch) == ("slow", CORES)


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_tuning_that_everybody_can_write_is_ignored(bundle: Bundle) -> None:
    store(bundle, *ranked("onnxruntime")).chmod(0o666)
    assert stored_tuning(bundle, CORES) is None


def test_a_user_without_a_home_has_no_tuning(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("CXR_EDGE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert stored_tuning(bundle, CORES) is None


def test_forgetting_says_whether_there_was_something(bundle: Bundle) -> None:
    store(bundle, *ranked("onnxruntime"))
    assert forget_tuning(bundle)
    assert not forget_tuning(bundle)
    assert stored_tuning(bundle, CORES) is None


def test_what_was_stored_is_read_back(bundle: Bundle) -> None:
    path = store(bundle, *ranked("onnxruntime", "slow"))
    found = stored_tuning(bundle, CORES)
    assert found is not None
    assert found.ranked == ranked("onnxruntime", "slow")
    assert json.loads(path.read_text())["key"]["bundle_sha256"] == bundle.sha256
