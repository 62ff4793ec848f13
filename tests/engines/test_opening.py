from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cxr_edge.bundle import Bundle, ModelEntry, open_bundle
from cxr_edge.engines import ENGINES, EngineOptions, EngineRow, available_threads, engine_row, open_engine
from cxr_edge.errors import EngineError, UsageError

REMEDY = "pip install 'cxr-edge[absent]'"
ABSENT = EngineRow("absent", "cxr_edge.engines.absent", "Absent", "no_such_runtime", REMEDY, ("cpu",))


@pytest.fixture
def absent_engine_first(monkeypatch: pytest.MonkeyPatch) -> None:
    table = (ABSENT, *ENGINES)
    monkeypatch.setattr("cxr_edge.engines.registry.ENGINES", table)
    monkeypatch.setattr("cxr_edge.engines.opening.ENGINES", table)


def bundle_with_model(parts: Any, directory: Path, **changes: Any) -> Any:
    model = dataclasses.replace(ModelEntry("model.fp32.onnx", ("onnxruntime",), ("onnxruntime",)), **changes)
    parts.manifest.models["fp32"] = model
    return open_bundle(parts.write(directory))


def test_importing_the_engines_imports_no_runtime() -> None:
    code = (
        "import sys, cxr_edge.engines\n"
        "print(sorted({'onnxruntime', 'onnx', 'torch', 'openvino', 'tensorrt', 'pycuda'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert result.stdout.strip() == "[]"


@pytest.mark.usefixtures("absent_engine_first")
def test_auto_takes_the_first_engine_that_is_installed(tiny_bundle: Path) -> None:
    with open_engine(open_bundle(tiny_bundle)) as engine:
        assert engine.describe().name == "onnxruntime"


def unready(bundle: Bundle, options: EngineOptions) -> str | None:
    return f"no plan for {bundle.manifest.name} in {options.precision}: run `cxr-edge build`"


def ready(bundle: Bundle, options: EngineOptions) -> str | None:
    return None


@pytest.fixture
def adapter_of_a_plan(monkeypatch: pytest.MonkeyPatch) -> EngineRow:
    """A row, first in the table, whose engine is opened by a plan that has to be ready."""
    monkeypatch.setitem(sys.modules, "adapter_of_a_plan", sys.modules[__name__])
    row = dataclasses.replace(engine_row("onnxruntime"), name="planned", ready="adapter_of_a_plan:unready")
    monkeypatch.setattr("cxr_edge.engines.opening.ENGINES", (row, *ENGINES))
    return row


@pytest.mark.usefixtures("adapter_of_a_plan")
def test_auto_passes_over_an_engine_that_is_not_ready_and_says_why(bundle_parts: Any, tmp_path: Path) -> None:
    names = ("planned", "onnxruntime")
    both = bundle_with_model(bundle_parts, tmp_path / "both", engines=names, parity_passed=names)
    with open_engine(both) as engine:
        assert engine.describe().name == "onnxruntime"
    alone = bundle_with_model(bundle_parts, tmp_path / "one", engines=names[:1], parity_passed=names[:1])
    with pytest.raises(EngineError, match="planned: no plan for tiny in fp32: run `cxr-edge build`"):
        open_engine(alone)


def test_an_engine_that_is_ready_is_taken(
    bundle_parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter_of_a_plan: EngineRow
) -> None:
    row = dataclasses.replace(adapter_of_a_plan, ready="adapter_of_a_plan:ready", module="no_such_adapter")
    monkeypatch.setattr("cxr_edge.engines.opening.ENGINES", (row, *ENGINES))
    names = ("planned", "onnxruntime")
    bundle = bundle_with_model(bundle_parts, tmp_path / "b", engines=names, parity_passed=names)
    with pytest.raises(EngineError, match="engine planned is installed but does not load"):
        open_engine(bundle)


@pytest.mark.usefixtures("absent_engine_first")
def test_a_missing_engine_asked_for_by_name_is_not_replaced(bundle_parts: Any, tmp_path: Path) -> None:
    bundle = bundle_with_model(bundle_parts, tmp_path / "b", engines=("absent", "onnxruntime"))
    with pytest.raises(EngineError, match=r"pip install 'cxr-edge\[absent\]'"):
        open_engine(bundle, "absent")


def test_an_unknown_engine_lists_the_known_ones(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="known are auto, tensorrt, native, openvino, onnxruntime$"):
        open_engine(open_bundle(tiny_bundle), "tensorflow")


def test_an_engine_whose_runtime_does_not_load_is_an_engine_error(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = dataclasses.replace(engine_row("onnxruntime"), module="cxr_edge.engines.no_such_adapter")
    monkeypatch.setattr("cxr_edge.engines.opening.ENGINES", (broken,))
    with pytest.raises(EngineError, match="installed but does not load"):
        open_engine(open_bundle(tiny_bundle))


def test_auto_passes_over_a_model_that_failed_its_parity_gate(bundle_parts: Any, tmp_path: Path) -> None:
    bundle = bundle_with_model(bundle_parts, tmp_path / "b", parity_passed=())
    with pytest.raises(EngineError, match="has not passed the parity gate for fp32"):
        open_engine(bundle)
    open_engine(bundle, "onnxruntime").close()


def test_an_engine_that_the_bundle_does_not_allow_is_refused(bundle_parts: Any, tmp_path: Path) -> None:
    bundle = bundle_with_model(bundle_parts, tmp_path / "b", engines=("native",), parity_passed=("native",))
    with pytest.raises(EngineError, match="is for native, not for onnxruntime"):
        open_engine(bundle, "onnxruntime")


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_a_precision_that_the_bundle_lacks_is_not_replaced(tiny_bundle: Path, engine: str) -> None:
    with pytest.raises(EngineError, match="holds no int8 model; it holds fp32"):
        open_engine(open_bundle(tiny_bundle), engine, precision="int8")


def test_an_unknown_precision_lists_the_known_ones(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="known are fp32, fp16, int8, int8-fp16"):
        open_engine(open_bundle(tiny_bundle), precision="int4")


@pytest.mark.parametrize("engine", ["auto", "onnxruntime"])
def test_a_device_that_no_engine_runs_on_is_not_replaced(tiny_bundle: Path, engine: str) -> None:
    with pytest.raises(EngineError, match="onnxruntime runs on cpu, cuda, not on 'npu'"):
        open_engine(open_bundle(tiny_bundle), engine, device="npu")


def test_auto_leaves_another_device_than_the_gated_one_to_those_who_name_the_engine(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError, match="takes device cuda only with --engine onnxruntime"):
        open_engine(open_bundle(tiny_bundle), device="cuda", precision="fp32")


def test_a_device_without_a_default_precision_asks_for_one(bundle_parts: Any, tmp_path: Path) -> None:
    bundle_parts.manifest = dataclasses.replace(bundle_parts.manifest, default_precision={})
    bundle = open_bundle(bundle_parts.write(tmp_path / "b"))
    with pytest.raises(EngineError, match="no default precision for cpu: choose one of fp32"):
        open_engine(bundle)
    open_engine(bundle, precision="fp32").close()


@pytest.mark.parametrize("threads", [0, -1, available_threads() + 1])
def test_threads_that_the_machine_has_not_are_a_usage_error(tiny_bundle: Path, threads: int) -> None:
    with pytest.raises(UsageError, match=f"1 to {available_threads()}"):
        open_engine(open_bundle(tiny_bundle), threads=threads)


def test_a_model_with_other_names_is_refused_by_the_contract(bundle_parts: Any, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(bundle_parts.files["model.fp32.onnx"])
    model.graph.input[0].name = model.graph.node[0].input[0] = "pixels"
    bundle_parts.files["model.fp32.onnx"] = model.SerializeToString()
    with pytest.raises(EngineError, match="the contract is image -> logit, cam"):
        open_engine(open_bundle(bundle_parts.write(tmp_path / "b")))


def test_a_model_with_a_fixed_batch_is_refused(bundle_parts: Any, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(bundle_parts.files["model.fp32.onnx"])
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    bundle_parts.files["model.fp32.onnx"] = model.SerializeToString()
    with pytest.raises(EngineError, match="'N'"):
        open_engine(open_bundle(bundle_parts.write(tmp_path / "b")))
