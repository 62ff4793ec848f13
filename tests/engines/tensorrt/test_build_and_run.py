"""Our builder and runner against the stand-in: what they ask for, in which order, and what they make of failures."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import cxr_edge.cli.build  # noqa: F401  registers the command
from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.cli.application import app
from cxr_edge.engines.base import EngineOptions
from cxr_edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from cxr_edge.engines.tensorrt.build import BuildReport, build_plan
from cxr_edge.engines.tensorrt.engine import TensorRTEngine
from cxr_edge.engines.tensorrt.plan_key import BuildOptions
from cxr_edge.engines.tensorrt.ready import misfit
from cxr_edge.errors import EngineError, ResourceLimitError, UsageError
from cxr_edge.preprocess import PreprocessSpec, preprocess
from cxr_edge.records import Box, Radiograph, Window

pytestmark = pytest.mark.usefixtures("stand_in_machine")

ON_GPU = EngineOptions("fp32", "cuda", 1)
DISCRETE = "RTX 4000:8:9:0:20000:15000:1:0"


def images(count: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 1, 32, 32)).astype(np.float32)


@pytest.fixture
def runtimes() -> tuple[Any, Any]:
    """The stand-in modules ``tensorrt`` and ``pycuda.driver``."""
    return importlib.import_module("tensorrt"), importlib.import_module("pycuda.driver")


@pytest.fixture
def built(tensorrt_bundle: Bundle) -> BuildReport:
    return build_plan(tensorrt_bundle, "fp32")


@pytest.fixture
def engine(tensorrt_bundle: Bundle, built: BuildReport) -> Iterator[TensorRTEngine]:
    with TensorRTEngine(tensorrt_bundle, ON_GPU) as opened:
        yield opened


def test_a_build_asks_for_what_it_should(tensorrt_bundle: Bundle, runtimes: tuple[Any, Any]) -> None:
    trt, _ = runtimes
    seen: list[tuple[str, int, int]] = []
    report = build_plan(tensorrt_bundle, "fp32", on_progress=lambda *step: seen.append(step))
    assert report.built
    assert trt.builds[-1] == {"flags": set(), "cache": b"", "workspace": 512 << 20}
    assert seen == [("Building Engine", step, 3) for step in (0, 1, 2, 3)]
    assert json.loads(report.layers.read_text()) == {"Layers": ["stem"]}
    assert report.record.device_memory == 1 << 20
    assert report.record.key.target.device_name == "Orin"


def test_a_second_build_finds_the_plan_and_a_forced_one_the_timing_cache(
    tensorrt_bundle: Bundle, built: BuildReport, runtimes: tuple[Any, Any]
) -> None:
    trt, _ = runtimes
    count = len(trt.builds)
    assert not build_plan(tensorrt_bundle, "fp32").built
    assert len(trt.builds) == count
    assert build_plan(tensorrt_bundle, "fp32", force=True).built
    assert trt.builds[-1]["cache"] == b"+"


def test_a_damaged_plan_is_built_again(tensorrt_bundle: Bundle, built: BuildReport) -> None:
    built.plan.write_bytes(b"damaged")
    with pytest.raises(EngineError, match="cxr-edge build --force"):
        TensorRTEngine(tensorrt_bundle, ON_GPU)
    assert build_plan(tensorrt_bundle, "fp32").built
    TensorRTEngine(tensorrt_bundle, ON_GPU).close()


def test_a_stale_plan_is_named_and_rebuilt_but_never_by_opening_the_engine(
    tensorrt_bundle: Bundle, built: BuildReport, stand_in_machine: pytest.MonkeyPatch, runtimes: tuple[Any, Any]
) -> None:
    trt, _ = runtimes
    count = len(trt.builds)
    stand_in_machine.setenv("STAND_IN_GPU", DISCRETE)
    with pytest.raises(EngineError, match="stale .*device_name was Orin, is RTX 4000.*cxr-edge build"):
        TensorRTEngine(tensorrt_bundle, ON_GPU)
    assert "device_name was Orin" in str(misfit(tensorrt_bundle, ON_GPU))
    assert len(trt.builds) == count
    stale: list[Any] = []
    report = build_plan(tensorrt_bundle, "fp32", on_stale=stale.append)
    assert report.built
    assert [one.field for one in stale[0]] == ["device_name", "compute_capability"]
    TensorRTEngine(tensorrt_bundle, ON_GPU).close()


def test_a_plan_of_a_model_that_the_bundle_does_not_list_is_stale(
    tensorrt_bundle: Bundle, built: BuildReport, bundle_parts: Any, tiny_model: Callable[..., bytes], tmp_path: Path
) -> None:
    bundle_parts.files["model.fp32.onnx"] = tiny_model(seed=1)
    retrained = open_bundle(bundle_parts.write(tmp_path / "retrained"))
    with pytest.raises(EngineError, match="stale .model_sha256 was"):
        TensorRTEngine(retrained, ON_GPU)


def test_without_a_plan_the_command_is_named(tensorrt_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="no TensorRT plan .*cxr-edge build") as caught:
        TensorRTEngine(tensorrt_bundle, ON_GPU)
    assert caught.value.exit_code == 7


def test_a_plan_makes_the_engine_ready_for_auto(tensorrt_bundle: Bundle, built: BuildReport) -> None:
    assert misfit(tensorrt_bundle, ON_GPU) is None


@pytest.mark.parametrize("gpu", ["Orin:8:7:1:7620:4000:1:0", DISCRETE])
@pytest.mark.parametrize("batch", [(1, 1, 1), (4, 4, 4), (2, 3, 4)])
@pytest.mark.parametrize("count", [1, 3, 9])
def test_outputs_are_those_of_the_model_for_any_number_of_images(
    tensorrt_bundle: Bundle, stand_in_machine: pytest.MonkeyPatch, gpu: str, batch: tuple[int, int, int], count: int
) -> None:
    stand_in_machine.setenv("STAND_IN_GPU", gpu)
    build_plan(tensorrt_bundle, "fp32", BuildOptions(batch=batch))
    with (
        TensorRTEngine(tensorrt_bundle, ON_GPU) as engine,
        OnnxRuntimeEngine(tensorrt_bundle, EngineOptions("fp32", "cpu", 1)) as reference,
    ):
        got, wanted = engine.infer(images(count)), reference.infer(images(count))
    np.testing.assert_allclose(got.logit, wanted.logit, rtol=0, atol=1e-5)
    np.testing.assert_allclose(got.cam, wanted.cam, rtol=0, atol=1e-5)


def test_outputs_are_not_overwritten_by_later_ones(engine: TensorRTEngine) -> None:
    first = engine.infer(images(1))
    kept = first.cam.copy()
    engine.infer(images(1, seed=4))
    assert np.array_equal(first.cam, kept)


def test_eight_threads_give_the_bits_of_one(engine: TensorRTEngine) -> None:
    """The stand-in fails when a context runs in two threads at once or without CUDA's context."""
    batches = [images(1, seed) for seed in range(64)]
    serial = [engine.infer(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(serial, pool.map(engine.infer, batches), strict=True):
            assert one.logit.tobytes() == other.logit.tobytes()


def test_closing_waits_for_others_and_frees_the_gpu(
    tensorrt_bundle: Bundle, built: BuildReport, stand_in_machine: pytest.MonkeyPatch, runtimes: tuple[Any, Any]
) -> None:
    stand_in_machine.setenv("STAND_IN_GPU", DISCRETE)
    build_plan(tensorrt_bundle, "fp32")
    _, cuda = runtimes
    opened = TensorRTEngine(tensorrt_bundle, ON_GPU)

    def infer(_: int) -> bool:
        try:
            return opened.infer(images(1)).logit.shape == (1, 1)
        except EngineError as error:
            return "closed" in str(error)

    with ThreadPoolExecutor(4) as pool:
        outcomes = pool.map(infer, range(100))
        opened.close()
        assert all(outcomes)
    assert cuda.live == {}
    opened.close()
    with pytest.raises(EngineError, match="closed"):
        opened.infer(images(1))


def test_an_integrated_gpu_copies_nothing(engine: TensorRTEngine, runtimes: tuple[Any, Any]) -> None:
    _, cuda = runtimes
    engine.infer(images(1))
    assert cuda.live == {}


def test_a_failed_gpu_closes_the_engine(
    tensorrt_bundle: Bundle, stand_in_machine: pytest.MonkeyPatch, runtimes: tuple[Any, Any]
) -> None:
    stand_in_machine.setenv("STAND_IN_GPU", DISCRETE)
    build_plan(tensorrt_bundle, "fp32")
    _, cuda = runtimes
    opened = TensorRTEngine(tensorrt_bundle, ON_GPU)
    opened.infer(images(1))
    cuda.next_failure.append(cuda.LogicError("cuMemcpyHtoDAsync failed: an illegal memory access was encountered"))
    with pytest.raises(EngineError, match="illegal memory access .*start the process again"):
        opened.infer(images(1))
    cuda.next_failure.clear()
    with pytest.raises(EngineError, match="closed because the GPU has failed"):
        opened.infer(images(1))
    opened.close()


def test_memory_that_runs_out_is_a_resource_limit_and_the_engine_goes_on(
    tensorrt_bundle: Bundle, stand_in_machine: pytest.MonkeyPatch, runtimes: tuple[Any, Any]
) -> None:
    stand_in_machine.setenv("STAND_IN_GPU", DISCRETE)
    build_plan(tensorrt_bundle, "fp32")
    _, cuda = runtimes
    with TensorRTEngine(tensorrt_bundle, ON_GPU) as opened:
        cuda.next_failure.append(cuda.MemoryError("cuMemAlloc failed: out of memory"))
        with pytest.raises(ResourceLimitError, match="too little memory for running the plan"):
            opened.infer(images(1))
        cuda.next_failure.clear()
        opened.infer(images(1))


@pytest.mark.parametrize("what", ["build", "open"])
def test_too_little_free_memory_is_found_before_tensorrt_is_asked(
    tensorrt_bundle: Bundle, stand_in_machine: pytest.MonkeyPatch, runtimes: tuple[Any, Any], what: str
) -> None:
    trt, _ = runtimes
    if what == "open":
        stand_in_machine.setenv("STAND_IN_GPU", DISCRETE)
        build_plan(tensorrt_bundle, "fp32")
    count = len(trt.builds)
    stand_in_machine.setenv("STAND_IN_GPU", "RTX 4000:8:9:0:20000:50:1:0")
    with pytest.raises(ResourceLimitError, match="50 MiB of memory free") as caught:
        if what == "build":
            build_plan(tensorrt_bundle, "fp32")
        else:
            TensorRTEngine(tensorrt_bundle, ON_GPU)
    assert caught.value.exit_code == 8
    assert len(trt.builds) == count


def test_a_failed_build_says_why_and_stores_nothing(
    tensorrt_bundle: Bundle, stand_in_machine: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in_machine.setenv("STAND_IN_FAILURE", "build")
    with pytest.raises(EngineError, match="could not build the plan: no tactic for stem"):
        build_plan(tensorrt_bundle, "fp32")
    assert list((tmp_path / "cache").rglob("*.plan*")) == []


def test_a_model_that_the_parser_refuses_is_an_engine_error(
    bundle_parts: Any, tensorrt_bundle: Bundle, tmp_path: Path
) -> None:
    bundle_parts.files["model.fp32.onnx"] = b"\x08\x08"
    with pytest.raises(EngineError, match="parser refuses the model: node stem"):
        build_plan(open_bundle(bundle_parts.write(tmp_path / "broken")), "fp32")


def test_a_progress_display_that_fails_ends_the_build_with_its_own_error(tensorrt_bundle: Bundle) -> None:
    def fail(*step: object) -> None:
        raise BrokenPipeError("nobody listens")

    with pytest.raises(BrokenPipeError, match="nobody listens"):
        build_plan(tensorrt_bundle, "fp32", on_progress=fail)


def test_interrupting_a_build_stops_it_at_its_next_step(tensorrt_bundle: Bundle, tmp_path: Path) -> None:
    started = threading.Event()

    def slow(phase: str, done: int, steps: int) -> None:
        if not started.is_set():
            started.set()
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)

    with pytest.raises(KeyboardInterrupt):
        build_plan(tensorrt_bundle, "fp32", on_progress=slow)
    assert list((tmp_path / "cache").rglob("*.plan*")) == []


def test_a_version_compatible_plan_may_hold_host_code(tensorrt_bundle: Bundle, runtimes: tuple[Any, Any]) -> None:
    build_plan(tensorrt_bundle, "fp32", BuildOptions(version_compatible=True, hardware_compatible=True))
    with TensorRTEngine(tensorrt_bundle, ON_GPU) as engine:
        engine.infer(images(1))


def test_hardware_compatibility_needs_an_ampere_gpu(
    tensorrt_bundle: Bundle, stand_in_machine: pytest.MonkeyPatch
) -> None:
    stand_in_machine.setenv("STAND_IN_GPU", "T4:7:5:0:15000:14000:1:0")
    with pytest.raises(EngineError, match="Ampere"):
        build_plan(tensorrt_bundle, "fp32", BuildOptions(hardware_compatible=True))


@pytest.mark.parametrize(("precision", "said"), [("fp16", "holds no fp16 model"), ("int8", "holds no int8-fp16 model")])
def test_a_precision_that_the_bundle_lacks_is_not_replaced(tensorrt_bundle: Bundle, precision: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        build_plan(tensorrt_bundle, precision)


def test_a_precision_that_no_plan_is_built_from_is_a_usage_error(tensorrt_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="fp32, fp16, int8-fp16"):
        build_plan(tensorrt_bundle, "int4")


def test_a_model_that_is_not_for_tensorrt_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError, match="is for onnxruntime, not for tensorrt"):
        build_plan(open_bundle(tiny_bundle), "fp32")


class HostPreprocessor:
    """Stands for `CudaPreprocessor`: finds the pixels at the address that it is given, as the kernel would."""

    @classmethod
    def open(cls, spec: PreprocessSpec) -> HostPreprocessor:
        cls.spec = spec
        return cls()

    def run(
        self,
        radiograph: Radiograph,
        frame_pointer: int,
        out_pointer: int,
        *,
        row_stride: int,
        crop: Box | None,
        stream: int,
    ) -> None:
        assert row_stride % 16 == 0 and stream
        height, width = radiograph.pixels.shape
        memory = (ctypes.c_uint8 * (height * row_stride)).from_address(frame_pointer)
        rows = np.frombuffer(memory, radiograph.pixels.dtype).reshape(height, -1)
        there = dataclasses.replace(radiograph, pixels=np.ascontiguousarray(rows[:, :width]))
        out = preprocess(there, self.spec, crop)
        ctypes.memmove(out_pointer, out.ctypes.data, out.nbytes)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("gpu", ["Orin:8:7:1:7620:4000:1:0", DISCRETE])
def test_a_radiograph_is_preprocessed_straight_into_the_network(
    tensorrt_bundle: Bundle, stand_in_machine: pytest.MonkeyPatch, gpu: str, runtimes: tuple[Any, Any]
) -> None:
    stand_in_machine.setenv("STAND_IN_GPU", gpu)
    stand_in_machine.setattr("cxr_edge.preprocess.cuda.CudaPreprocessor", HostPreprocessor)
    build_plan(tensorrt_bundle, "fp32")
    spec = tensorrt_bundle.manifest.preprocess
    crop = Box(3, 5, 60, 50)
    with TensorRTEngine(tensorrt_bundle, ON_GPU) as engine:
        for dtype, side in ((np.uint16, 70), (np.uint8, 91), (np.uint16, 200)):
            pixels = np.random.default_rng(side).integers(0, 256, (side, side + 1)).astype(dtype)
            radiograph = Radiograph(pixels, Window(0, 255))
            wanted = engine.infer(preprocess(radiograph, spec, crop)[None, None])
            got = engine.infer_radiograph(radiograph, crop)
            assert got.logit.tobytes() == wanted.logit.tobytes()
            assert got.cam.tobytes() == wanted.cam.tobytes()
    assert runtimes[1].live == {}


def test_a_radiograph_without_cuda_preprocessing_is_an_engine_error(engine: TensorRTEngine) -> None:
    if engine.preprocesses():
        pytest.skip("CUDA preprocessing runs on this machine")
    radiograph = Radiograph(np.zeros((64, 64), np.uint8), Window(0, 255))
    with pytest.raises(EngineError, match="preprocessing on a GPU can't run here"):
        engine.infer_radiograph(radiograph)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer_radiograph(radiograph)


def test_a_frame_above_the_limit_is_a_resource_limit(
    engine: TensorRTEngine, stand_in_machine: pytest.MonkeyPatch
) -> None:
    stand_in_machine.setattr("cxr_edge.engines.tensorrt.engine.MAX_FRAME_BYTES", 1 << 20)
    with pytest.raises(ResourceLimitError, match="a frame of 4 MiB is too large"):
        engine.infer_radiograph(Radiograph(np.zeros((2048, 1024), np.uint16), Window(0, 255)))


def test_the_command_builds_once_and_says_where(tensorrt_bundle: Bundle, tmp_path: Path) -> None:
    first = CliRunner().invoke(app, ["build", str(tensorrt_bundle.path), "--precision", "fp32", "--batch", "1,2,4"])
    assert first.exit_code == 0, first.output
    assert "plan built" in first.output
    assert "Building Engine: 3 of 3" in first.output
    assert str(tmp_path / "cache" / "tensorrt") in first.output
    again = CliRunner().invoke(app, ["build", str(tensorrt_bundle.path), "--precision", "fp32", "--batch", "1,2,4"])
    assert (again.exit_code, "up to date" in again.output) == (0, True)


def test_the_command_says_which_field_made_a_plan_stale(
    tensorrt_bundle: Bundle, built: BuildReport, stand_in_machine: pytest.MonkeyPatch
) -> None:
    stand_in_machine.setenv("STAND_IN_GPU", "Orin:8:7:1:7620:4000:1:0".replace("Orin", "Orin Nano"))
    result = CliRunner().invoke(app, ["build", str(tensorrt_bundle.path), "--precision", "fp32"])
    assert result.exit_code == 0
    assert "the plan is stale (device_name was Orin, is Orin Nano): building it again" in result.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--engine", "onnxruntime"], 2),
        (["--batch", "1,2"], 2),
        (["--batch", "3,2,1"], 2),
        (["--precision", "int4"], 2),
        (["--precision", "fp16"], 7),
        (["--precision", "fp32", "--workspace", "30000"], 8),
    ],
)
def test_the_command_refuses_with_the_right_code(tensorrt_bundle: Bundle, arguments: list[str], code: int) -> None:
    assert CliRunner().invoke(app, ["build", str(tensorrt_bundle.path), *arguments]).exit_code == code


def test_the_engine_says_what_runs(engine: TensorRTEngine) -> None:
    description = engine.describe()
    assert dataclasses.astuple(description)[:6] == (
        "tensorrt",
        "fp32",
        "cuda",
        "10.3.0",
        "fp32 stored, fp32 computed",
        0,
    )
