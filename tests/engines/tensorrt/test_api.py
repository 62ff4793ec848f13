"""Every name, enum and keyword that we use of TensorRT and PyCUDA exists in the versions that we support."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parents[2] / "cxr_edge"
TENSORRT = ("10.3", "10.16", "11.4")
RECORDED = {
    "tensorrt-10.3": "tensorrt_cu12_bindings==10.3.0",
    "tensorrt-10.16": "tensorrt_cu13_bindings==10.16.1.11",
    "tensorrt-11.4": "tensorrt_cu13_bindings==11.4.0.106",
    "pycuda-2026.1": "pycuda==2026.1",
}


def module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tensorrt_tests_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


api_check = module_of(HERE / "api_check.py")
record_api = module_of(HERE / "record_api.py")
USERS = list(api_check.users(PACKAGE))


def apis(version: str) -> list[Any]:
    names = (f"tensorrt-{version}", "pycuda-2026.1")
    return [api_check.Api.load(HERE / "api" / f"{name}.json") for name in names]


def problems(source: str, version: str = "10.3") -> list[str]:
    found: list[str] = api_check.ApiCheck(source, apis(version)).problems
    return found


@pytest.mark.parametrize("version", TENSORRT)
@pytest.mark.parametrize("path", USERS, ids=lambda path: path.stem)
def test_our_code_uses_only_what_the_bindings_have(path: Path, version: str) -> None:
    assert problems(path.read_text(), version) == []


def test_all_that_touches_the_runtimes_is_checked() -> None:
    assert {path.stem for path in USERS} == {
        "build_progress",
        "compiler",
        "cuda_session",
        "device_tensor",
        "lane",
        "loading",
        "messages",
        "runner",
    }


@pytest.mark.parametrize("path", USERS, ids=lambda path: path.stem)
def test_every_misspelt_use_is_found(path: Path) -> None:
    """Each attribute that the check resolved is misspelt in turn, and must be reported on its line."""
    source = path.read_text()
    lines = source.splitlines()
    planted = 0
    for number, name in sorted(set(api_check.ApiCheck(source, apis("10.3")).checked)):
        attribute = name.rsplit(".", 1)[1]
        spoilt = lines.copy()
        spoilt[number - 1] = lines[number - 1].replace(f".{attribute}", f".{attribute}x", 1)
        if spoilt == lines:  # the expression goes on over several lines
            continue
        planted += 1
        assert any(text.startswith(f"line {number}:") for text in problems("\n".join(spoilt))), spoilt[number - 1]
    assert planted > 0


HEAD = "import tensorrt as trt\nimport pycuda.driver as cuda\n"
WRONG = {
    "function of the module": "trt.OnnxParsers(1, 2)",
    "flag": "trt.BuilderFlag.TF64",
    "flag that TensorRT 11 removed": "trt.BuilderFlag.FP16",
    "nested enum": "trt.ILogger.Severity.ERRORS",
    "method of a constructed object": "builder = trt.Builder(1)\nbuilder.create_networks()",
    "method of a returned object": "c = trt.Builder(1).create_builder_config()\nc.set_flags(1)",
    "method of a parameter": "def f(e: trt.ICudaEngine | None) -> None:\n    e.create_context()",
    "method of an attribute": "class A:\n  def f(self):\n    self.e: trt.ICudaEngine = 1\n    self.e.nothing()",
    "property that is called": "def f(p: trt.OnnxParser) -> None:\n    p.num_errors()",
    "method that is not called": "def f(p: trt.ParserError) -> None:\n    x = p.desc",
    "property that does not exist": "def f(c: trt.IBuilderConfig) -> None:\n    c.optimisation_level = 3",
    "keyword": "def f(c: trt.IBuilderConfig) -> None:\n    c.set_timing_cache(1, ignore=False)",
    "too many arguments": "def f(c: trt.IExecutionContext) -> None:\n    c.execute_async_v3(1, 2)",
    "receiver of unknown type": "def f(c) -> None:\n    c.execute_async_v3(1)",
    "callback with another name": "class P(trt.IProgressMonitor):\n    def step_completed(self, a, b): ...",
    "callback with another parameter": "class L(trt.ILogger):\n    def log(self, severity, text): ...",
    "PyCUDA function": "cuda.page_locked_empty(1, 2)",
    "PyCUDA keyword": "cuda.pagelocked_empty(1, 2, flags=1)",
    "PyCUDA method": "stream = cuda.Stream()\nstream.synchronise()",
    "PyCUDA error": "try:\n    pass\nexcept cuda.OutOfMemoryError:\n    pass",
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_planted_mistake_is_found(mistake: str) -> None:
    assert problems(HEAD + WRONG[mistake], "11.4") != []


def test_right_uses_are_not_reported() -> None:
    right = (
        "def f(c: trt.IBuilderConfig, b: trt.Builder) -> None:\n"
        "    c.set_timing_cache(c.create_timing_cache(b''), ignore_mismatch=False)\n"
        "    c.clear_flag(trt.BuilderFlag.TF32)\n"
        "    host = cuda.pagelocked_empty((1,), 'f', mem_flags=cuda.host_alloc_flags.DEVICEMAP)\n"
    )
    assert problems(HEAD + right, "11.4") == []


@pytest.mark.parametrize("version", TENSORRT)
def test_the_stand_in_offers_nothing_that_the_bindings_lack(version: str) -> None:
    listing = apis(version)[0]
    tree = ast.parse((HERE / "stand_in" / "tensorrt.py").read_text())
    plain = {"Buffer", *listing.enums}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node.name in plain:
            continue
        described = listing.classes[node.name]
        for item in node.body:
            if not isinstance(item, ast.FunctionDef) or item.name.startswith("_") or item.name == "view":
                continue
            assert item.name in described["methods"], f"{node.name}.{item.name}"
            signatures = listing.signatures(api_check.Kind("method", "trt", node.name, item.name))
            taken = [argument.arg for argument in item.args.args[1:]]
            assert any(taken == parameters[: len(taken)] for parameters, _ in signatures), f"{node.name}.{item.name}"


@pytest.mark.parametrize("name", RECORDED)
def test_the_recorded_listing_is_that_of_the_real_package(name: str) -> None:
    """Compared with the package itself where it can be had: kept from an earlier run, or downloaded."""
    if shutil.which("cc") is None:
        pytest.skip("the bindings import over a stub library, which needs a C compiler")
    downloads = HERE.parents[2] / "build" / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        package = record_api.downloaded(RECORDED[name], downloads)
    except (subprocess.SubprocessError, IndexError) as error:
        pytest.skip(f"{RECORDED[name]} cannot be downloaded for this Python: {type(error).__name__}")
    assert package.is_file()
    real = record_api.recorded(RECORDED[name], downloads)
    assert real == json.loads((HERE / "api" / f"{name}.json").read_text())
