"""A machine that pretends to have a GPU, CUDA, TensorRT and PyCUDA: stub C libraries and Python modules from stand_in/.

It shows that our own code does what it means to do, under the rules that TensorRT and CUDA document. It shows nothing
about TensorRT itself.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cxr_edge.bundle import Bundle, ModelEntry, open_bundle

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
STAND_IN = HERE / "stand_in"
BINDINGS_LOOK_UP = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "getBuilderPluginRegistry",
    "initLibNvInferPlugins",
)
RUNTIMES = ("tensorrt", "pycuda")
ADAPTERS = ("messages", "build_progress", "compiler", "cuda_session", "device_tensor", "lane", "loading", "runner")


@dataclasses.dataclass(frozen=True)
class StubLibraries:
    """Folders for LD_LIBRARY_PATH: a driver, and libnvinfer of some version."""

    driver: Path
    folder: Path

    def nvinfer(self, version: int) -> Path:
        """A folder with a libnvinfer that says that it is this version, such as 100300."""
        folder = self.folder / str(version)
        if not folder.exists():
            folder.mkdir()
            source = folder / "nvinfer.c"
            source.write_text(f"int getInferLibVersion(void) {{ return {version}; }}\n")
            compiled(source, folder / f"libnvinfer.so.{version // 10_000}")
        return folder

    def tensorrt(self, version: int) -> Path:
        """The same, with the names that TensorRT's real bindings look up; nothing stands behind them."""
        folder = self.folder / f"tensorrt-{version}"
        if not folder.exists():
            folder.mkdir()
            source = folder / "tensorrt.c"
            functions = "".join(f"void *{name}(void) {{ return 0; }}\n" for name in BINDINGS_LOOK_UP)
            source.write_text(f"int getInferLibVersion(void) {{ return {version}; }}\n{functions}")
            for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
                compiled(source, folder / f"lib{name}.so.{version // 10_000}")
        return folder


def compiled(source: Path, library: Path, *options: str) -> None:
    command = ["cc", "-shared", "-fPIC", "-Wall", "-Werror", *options, f"-Wl,-soname,{library.name}"]
    subprocess.run([*command, "-o", str(library), str(source)], check=True, capture_output=True)


@pytest.fixture(scope="session")
def stub_libraries(tmp_path_factory: pytest.TempPathFactory) -> StubLibraries:
    if shutil.which("cc") is None or sys.platform != "linux":
        pytest.skip("stub libraries need a C compiler and Linux")
    folder = tmp_path_factory.mktemp("stub-libraries")
    (folder / "driver").mkdir()
    compiled(STAND_IN / "libcuda.c", folder / "driver" / "libcuda.so.1")
    return StubLibraries(folder / "driver", folder)


@pytest.fixture
def run_python(stub_libraries: StubLibraries, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python in a child whose libraries and modules are the given ones; what crashes, crashes there."""

    def run(
        *arguments: str, libraries: tuple[Path, ...] = (), modules: tuple[Path, ...] = (), **environment: str
    ) -> Any:
        variables = {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
            "PYTHONPATH": ":".join(map(str, modules)),
            "CXR_EDGE_CACHE": str(tmp_path / "cache"),
            **environment,
        }
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, cwd=ROOT)

    return run


@pytest.fixture
def stand_in_machine(
    stub_libraries: StubLibraries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    """This process with a stand-in GPU and runtimes, and with a cache of its own; undone afterwards."""
    from cxr_edge.engines.tensorrt import driver, preflight

    nvinfer = stub_libraries.nvinfer(100300) / "libnvinfer.so.10"
    monkeypatch.setattr(driver, "LIBRARY", str(stub_libraries.driver / "libcuda.so.1"))
    monkeypatch.setattr(preflight, "_library_name", lambda major: str(nvinfer))
    monkeypatch.setenv("CXR_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(STAND_IN))
    hidden = hidden_modules()
    yield monkeypatch
    hidden_modules()
    sys.modules.update(hidden)


def hidden_modules() -> dict[str, Any]:
    """The runtimes and the adapters that import them, taken out of `sys.modules`."""
    adapters = {f"cxr_edge.engines.tensorrt.{name}" for name in ADAPTERS}
    names = [name for name in sys.modules if name.split(".")[0] in RUNTIMES or name in adapters]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture
def tensorrt_bundle(bundle_parts: Any, tmp_path: Path) -> Bundle:
    """The tiny bundle, whose FP32 model TensorRT may run."""
    allowed = ("tensorrt", "onnxruntime")
    bundle_parts.manifest.models["fp32"] = ModelEntry("model.fp32.onnx", allowed, allowed)
    defaults = {"cpu": "fp32", "cuda": "fp32"}
    bundle_parts.manifest = dataclasses.replace(bundle_parts.manifest, default_precision=defaults)
    return open_bundle(bundle_parts.write(tmp_path / "bundle"))
