"""What is missing or does not fit is found before TensorRT is called, in a child process: a crash would be seen."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cxr_edge.bundle import Bundle
from cxr_edge.engines.tensorrt.driver import Gpu
from cxr_edge.engines.tensorrt.preflight import check_memory
from cxr_edge.errors import ResourceLimitError

STAND_IN = Path(__file__).parent / "stand_in"
Run = Callable[..., "subprocess.CompletedProcess[str]"]

PROGRAM = """
import json, sys
from cxr_edge.bundle import open_bundle
from cxr_edge.engines.base import EngineOptions
from cxr_edge.errors import CxrEdgeError
bundle = open_bundle(sys.argv[2])
try:
    if sys.argv[1] == "build":
        from cxr_edge.engines.tensorrt.build import build_plan
        build_plan(bundle, "fp32")
    elif sys.argv[1] == "run":
        from cxr_edge.engines.tensorrt.engine import TensorRTEngine
        TensorRTEngine(bundle, EngineOptions("fp32", "cuda", 1)).close()
    else:
        from cxr_edge.engines.tensorrt.ready import misfit
        print(json.dumps([None, misfit(bundle, EngineOptions("fp32", "cuda", 1)), "tensorrt" in sys.modules]))
        sys.exit()
except CxrEdgeError as error:
    print(json.dumps([error.exit_code, str(error), "tensorrt" in sys.modules]))
"""


@pytest.fixture
def attempt(run_python: Run, tensorrt_bundle: Bundle) -> Callable[..., tuple[int | None, str, bool]]:
    """Exit code and message of an attempt in a child, and whether TensorRT had been imported by then."""

    def run(what: str, **machine: object) -> tuple[int | None, str, bool]:
        result = run_python("-c", PROGRAM, what, str(tensorrt_bundle.path), **machine)
        assert result.returncode == 0, result.stderr
        code, message, imported = json.loads(result.stdout.splitlines()[-1])
        return code, message, imported

    return run


@pytest.fixture
def modules_without(tmp_path: Path) -> Callable[..., Path]:
    """A folder with modules of these names that hold nothing."""

    def make(*names: str) -> Path:
        folder = tmp_path / "modules"
        folder.mkdir()
        for name in names:
            (folder / f"{name}.py").write_text("")
        return folder

    return make


@pytest.mark.parametrize("what", ["build", "run"])
def test_without_tensorrt_the_extra_is_named(attempt: Callable[..., tuple[int, str, bool]], what: str) -> None:
    code, message, _ = attempt(what)
    assert code == 7
    assert "cxr-edge[tensorrt]" in message


@pytest.mark.parametrize("what", ["build", "run"])
def test_the_lean_runtime_cannot_build_and_is_told_apart(
    attempt: Callable[..., tuple[int, str, bool]], modules_without: Callable[..., Path], what: str
) -> None:
    code, message, _ = attempt(what, modules=(modules_without("tensorrt_lean"),))
    assert code == 7
    assert "lean runtime" in message


@pytest.mark.parametrize("what", ["build", "run"])
def test_without_a_driver_tensorrt_is_not_even_imported(
    attempt: Callable[..., tuple[int, str, bool]], what: str
) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a CUDA driver")
    code, message, imported = attempt(what, modules=(STAND_IN,))
    assert (code, imported) == (7, False)
    assert "no CUDA driver" in message


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        ("Orin:8:7:1:7620:4000:1:100", "CUDA_ERROR_NO_DEVICE (100) to cuInit"),
        ("Orin:8:7:1:7620:4000:0:0", "finds no GPU"),
        ("GTX 1080:6:1:0:8000:4000:1:0", "compute capability 6.1; 7.5 or newer is needed"),
    ],
)
def test_a_driver_without_a_usable_gpu_is_an_engine_error(
    attempt: Callable[..., tuple[int, str, bool]], stub_libraries: Any, gpu: str, said: str
) -> None:
    libraries = (stub_libraries.driver,)
    code, message, imported = attempt("build", modules=(STAND_IN,), libraries=libraries, STAND_IN_GPU=gpu)
    assert (code, imported) == (7, False)
    assert said in message


@pytest.mark.parametrize(
    ("bindings", "library", "said"),
    [
        ("10.3.0", None, "libnvinfer.so.10 does not load"),
        ("10.3.0", 101601, "Python package is 10.3.0, but its library is 10.16.1"),
        ("11.4.0.106", 100300, "libnvinfer.so.11 does not load"),
        ("10.2.0", 100200, "10.3 or newer, before 12, is needed"),
        ("12.0.0", 120000, "10.3 or newer, before 12, is needed"),
        ("unknown", 100300, "cannot read"),
    ],
)
def test_bindings_and_library_must_be_of_one_supported_version(
    attempt: Callable[..., tuple[int, str, bool]], stub_libraries: Any, bindings: str, library: int | None, said: str
) -> None:
    libraries = (stub_libraries.driver,)
    if library is not None:
        libraries = (*libraries, stub_libraries.nvinfer(library))
    code, message, _ = attempt("build", modules=(STAND_IN,), libraries=libraries, STAND_IN_TENSORRT=bindings)
    assert code == 7
    assert said in message


def test_bindings_that_do_not_load_are_an_engine_error(
    attempt: Callable[..., tuple[int, str, bool]], stub_libraries: Any, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.10: cannot open shared object')")
    libraries = (stub_libraries.driver,)
    code, message, _ = attempt("build", modules=(tmp_path / "broken",), libraries=libraries)
    assert code == 7
    assert "does not load: libnvinfer.so.10" in message


@pytest.mark.parametrize(
    ("wheel", "version"), [("tensorrt_cu12_bindings-10.3.0", 100300), ("tensorrt_cu13_bindings-11.4.0.106", 110400)]
)
def test_the_real_bindings_over_a_stub_give_no_builder_and_no_crash(
    attempt: Callable[..., tuple[int, str, bool]], stub_libraries: Any, tmp_path: Path, wheel: str, version: int
) -> None:
    """As far as real bindings get without TensorRT: the missing builder is an error with our exit code."""
    wheels = sorted((Path(__file__).parents[3] / "build" / "downloads").glob(f"{wheel}-*.whl"))
    if not wheels:
        pytest.skip("the bindings' wheel is not there; test_api downloads it where it can")
    shutil.unpack_archive(wheels[0], tmp_path / "wheel", "zip")
    (tmp_path / "wheel" / "tensorrt.py").write_text(
        "from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n"
    )
    folder = stub_libraries.tensorrt(version)
    libraries = (stub_libraries.driver, folder)
    code, message, imported = attempt("build", modules=(tmp_path / "wheel",), libraries=libraries)
    assert (code, imported) == (7, True)
    assert "TensorRT gives no builder" in message


def test_without_a_plan_auto_passes_tensorrt_over_without_importing_it(
    attempt: Callable[..., tuple[int | None, str, bool]], stub_libraries: Any
) -> None:
    libraries = (stub_libraries.driver,)
    _, reason, imported = attempt("ready", modules=(STAND_IN,), libraries=libraries)
    assert "there is no TensorRT plan for the bundle's fp32 model: run `cxr-edge build" in reason
    assert not imported


def test_without_tensorrt_auto_passes_it_over(attempt: Callable[..., tuple[int | None, str, bool]]) -> None:
    assert "not installed" in attempt("ready")[1]


def test_too_little_memory_is_a_resource_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_edge.engines.tensorrt.preflight.free_memory", lambda gpu: 100 << 20)
    gpu = Gpu("Orin", (8, 7), 8 << 30, integrated=True, driver="CUDA 12.6")
    check_memory(gpu, 36 << 20, "to test")
    with pytest.raises(ResourceLimitError, match="Orin has 100 MiB of memory free, 101 MiB are needed to test"):
        check_memory(gpu, 37 << 20, "to test")


def test_the_stand_in_driver_has_the_prototypes_of_cuda_h(tmp_path: Path) -> None:
    """Our ctypes calls are written after these prototypes, so they must be the real ones."""
    nvcc = shutil.which("nvcc")
    headers = [path for path in Path("/usr/local").glob("cuda*/include") if (path / "cuda.h").exists()]
    if not headers or shutil.which("cc") is None:
        pytest.skip(f"cuda.h is not installed (nvcc: {nvcc})")
    command = [
        "cc",
        "-fsyntax-only",
        "-Wall",
        "-Werror",
        "-DWITH_CUDA_H",
        f"-I{headers[0]}",
        str(STAND_IN / "libcuda.c"),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_classify_without_a_plan_ends_with_code_7_and_names_the_command(
    run_python: Run, tensorrt_bundle: Bundle, stub_libraries: Any, tmp_path: Path
) -> None:
    folders = (stub_libraries.driver, stub_libraries.nvinfer(100300))
    command = ("classify", str(tmp_path / "any.png"), "--bundle", str(tensorrt_bundle.path), "--engine", "tensorrt")
    result = run_python("-c", "from cxr_edge.cli import main; main()", *command, modules=(STAND_IN,), libraries=folders)
    assert result.returncode == 7, result.stderr
    assert "no TensorRT plan for the bundle's fp32 model: run `cxr-edge build" in result.stderr
    assert list((tmp_path / "cache").rglob("*")) == []
