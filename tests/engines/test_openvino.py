"""What OpenVINO needs beyond the contract: its own precision, its cache, its silence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_edge.bundle import Bundle, ModelEntry, open_bundle
from cxr_edge.engines import Engine, EngineOptions, engine_row, open_engine
from cxr_edge.engines.device_cache import DeviceCache
from cxr_edge.errors import EngineError

ROW = engine_row("openvino")
pytestmark = pytest.mark.skipif(not ROW.is_installed(), reason=f"not installed: {ROW.remedy}")

ROOT = Path(__file__).parents[2]
IMAGE = np.random.default_rng(3).uniform(-1, 1, (1, 1, 32, 32)).astype(np.float32)
BOTH = ("openvino", "onnxruntime")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CXR_EDGE_CACHE", str(folder))
    return folder


@pytest.fixture
def bundle_of(bundle_parts: Any, tmp_path: Path) -> Callable[..., Bundle]:
    """A verified bundle of model files by precision, each allowed for both CPU engines."""

    def make(**models: bytes) -> Bundle:
        for precision, model in models.items():
            file = f"model.{precision}.onnx"
            bundle_parts.files[file] = model
            bundle_parts.manifest.models[precision] = ModelEntry(file, BOTH, BOTH)
            bundle_parts.manifest.golden.logit[precision] = (0.25,)
            bundle_parts.manifest.golden.tolerance[precision] = 1e-4
        return open_bundle(bundle_parts.write(tmp_path / "b"))

    return make


@pytest.fixture
def bundle(bundle_of: Callable[..., Bundle], tiny_model_bytes: bytes) -> Bundle:
    return bundle_of(fp32=tiny_model_bytes)


def int8_model(int8_convolutions: int = 2) -> bytes:
    """The tiny network with Q/DQ pairs on the inputs of its convolutions and INT8 weights with a scale per channel.

    With one INT8 convolution the second has FP32 weights.
    """
    onnx = pytest.importorskip("onnx")
    make, tensor = onnx.helper, onnx.numpy_helper.from_array
    rng = np.random.default_rng(0)
    nodes, constants = [], []

    def quantised(name: str, scale: float) -> str:
        constants.extend([tensor(np.float32(scale), f"{name}/scale"), tensor(np.int8(0), f"{name}/zero")])
        pair = [f"{name}/scale", f"{name}/zero"]
        nodes.append(make.make_node("QuantizeLinear", [name, *pair], [f"{name}/q"]))
        nodes.append(make.make_node("DequantizeLinear", [f"{name}/q", *pair], [f"{name}/dq"]))
        return f"{name}/dq"

    def weights(name: str, shape: tuple[int, ...]) -> str:
        scales = rng.uniform(0.0005, 0.002, shape[0]).astype(np.float32)
        constants.append(tensor(rng.integers(-127, 128, shape).astype(np.int8), name))
        constants.extend([tensor(scales, f"{name}/scale"), tensor(np.zeros(shape[0], np.int8), f"{name}/zero")])
        nodes.append(
            make.make_node("DequantizeLinear", [name, f"{name}/scale", f"{name}/zero"], [f"{name}/dq"], axis=0)
        )
        return f"{name}/dq"

    stem = [quantised("image", 1 / 127), weights("stem", (8, 1, 5, 5))]
    nodes.append(make.make_node("Conv", stem, ["features"], strides=[4, 4], pads=[2, 2, 2, 2]))
    nodes.append(make.make_node("Relu", ["features"], ["active"]))
    if int8_convolutions == 2:
        head = [quantised("active", 2 / 127), weights("head", (1, 8, 1, 1))]
    else:
        constants.append(tensor(rng.normal(0.0, 0.5, (1, 8, 1, 1)).astype(np.float32), "head"))
        head = ["active", "head"]
    nodes.append(make.make_node("Conv", head, ["cam"]))
    nodes.append(make.make_node("ReduceMean", ["cam"], ["logit"], axes=[2, 3], keepdims=0))
    value, float32 = make.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        nodes,
        "tiny-int8",
        [value("image", float32, ["N", 1, 32, 32])],
        [value("logit", float32, ["N", 1]), value("cam", float32, ["N", 1, 8, 8])],
        constants,
    )
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8).SerializeToString()


def opened(bundle: Bundle, **arguments: Any) -> Engine:
    return open_engine(bundle, "openvino", **arguments)


def cam_of(engine: Engine) -> bytes:
    with engine:
        return engine.infer(IMAGE).cam.tobytes()


def has_bf16() -> bool:
    from cxr_edge.engines.silent_openvino import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


# --- precision ---------------------------------------------------------------------------------------------------


def test_fp32_is_computed_in_fp32_also_where_the_processor_has_bf16(bundle: Bundle) -> None:
    with opened(bundle) as openvino, open_engine(bundle, "onnxruntime") as reference:
        assert openvino.describe().computed_as == "fp32 stored, fp32 computed"
        # BF16 keeps 8 bits: its differences on this network are a thousand times as large.
        np.testing.assert_allclose(openvino.infer(IMAGE).cam, reference.infer(IMAGE).cam, rtol=0, atol=2e-6)


def test_bf16_is_computed_where_it_is_asked_for(bundle: Bundle) -> None:
    if not has_bf16():
        pytest.skip("this processor has no BF16")
    with opened(bundle, device="cpu-bf16", precision="fp32") as bf16, opened(bundle) as fp32:
        assert (bf16.describe().device, bf16.describe().computed_as) == ("cpu-bf16", "fp32 stored, bf16 computed")
        difference = np.abs(bf16.infer(IMAGE).cam - fp32.infer(IMAGE).cam).max()
        assert 1e-5 < difference < 0.1


def test_bf16_is_not_replaced_where_the_processor_lacks_it(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxr_edge.engines import openvino_compilation

    class OldProcessor:
        def get_property(self, plugin: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino_compilation.openvino, "Core", OldProcessor)
    with pytest.raises(EngineError, match="does not compute in BF16, it has FP32, INT8: use device cpu"):
        opened(bundle, device="cpu-bf16", precision="fp32")


def test_a_plugin_that_takes_another_precision_than_it_was_told_is_refused(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxr_edge.engines import openvino_compilation

    if not has_bf16():
        pytest.skip("this processor has no BF16")
    told = openvino_compilation._settings
    monkeypatch.setattr(
        openvino_compilation, "_settings", lambda options: {**told(options), "INFERENCE_PRECISION_HINT": "bf16"}
    )
    with pytest.raises(EngineError, match="would compute in bf16 instead of f32"):
        opened(bundle)


def test_auto_never_takes_bf16(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="takes device cpu-bf16 only with --engine openvino"):
        open_engine(bundle, device="cpu-bf16", precision="fp32")


def test_an_int8_model_has_int8_convolutions_and_the_numbers_of_the_reference(
    bundle_of: Callable[..., Bundle],
) -> None:
    bundle = bundle_of(int8=int8_model())
    with opened(bundle, precision="int8") as openvino, open_engine(bundle, "onnxruntime", "int8") as reference:
        assert openvino.describe().computed_as == "int8 stored, int8 convolutions, fp32 elsewhere"
        np.testing.assert_allclose(openvino.infer(IMAGE).cam, reference.infer(IMAGE).cam, rtol=0, atol=1e-5)


def test_convolutions_that_stayed_in_floating_point_are_counted(bundle_of: Callable[..., Bundle]) -> None:
    bundle = bundle_of(int8=int8_model(int8_convolutions=1))
    with opened(bundle, precision="int8") as engine:
        assert engine.describe().computed_as == "int8 stored, 1 of 2 convolutions in int8, fp32 elsewhere"


# --- the device's cache ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_second_start_reads_what_the_first_compiled(
    bundle_of: Callable[..., Bundle],
    tiny_model_bytes: bytes,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    bundle = bundle_of(fp32=tiny_model_bytes, int8=int8_model())
    first = opened(bundle, precision=precision)
    monkeypatch.setattr(Bundle, "model_bytes", lambda *_: pytest.fail("the model was compiled again"))
    second = opened(bundle, precision=precision)
    assert (first.describe().model_cache, second.describe().model_cache) == ("written", "read")
    assert first.describe().computed_as == second.describe().computed_as
    assert cam_of(first) == cam_of(second)
    assert len(list(cache.rglob("*.*"))) == 1


@pytest.mark.usefixtures("cache")
def test_another_model_under_the_same_name_is_compiled(bundle: Bundle, tiny_model: Callable[..., bytes]) -> None:
    from tiny_bundle import BundleParts, tiny_files, tiny_manifest

    opened(bundle).close()
    manifest = tiny_manifest()
    manifest.models["fp32"] = ModelEntry("model.fp32.onnx", BOTH, BOTH)  # type: ignore[index]
    other = BundleParts(manifest, tiny_files(tiny_model(seed=1))).write(bundle.path.parent / "other")
    with opened(open_bundle(other)) as engine, opened(bundle) as first:
        assert (engine.describe().model_cache, first.describe().model_cache) == ("written", "read")
        assert not np.array_equal(engine.infer(IMAGE).cam, first.infer(IMAGE).cam)


@pytest.mark.usefixtures("cache")
def test_other_settings_are_compiled_on_their_own(bundle: Bundle) -> None:
    opened(bundle, threads=1).close()
    if not has_bf16():
        pytest.skip("this processor has no BF16")
    with opened(bundle, threads=1, device="cpu-bf16", precision="fp32") as engine:
        assert engine.describe().model_cache == "written"


def test_a_damaged_cache_is_compiled_again_and_replaced(bundle: Bundle, cache: Path) -> None:
    expected = cam_of(opened(bundle))
    (file,) = cache.rglob("*.bin")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    damaged = opened(bundle)
    assert damaged.describe().model_cache == "written"
    assert cam_of(damaged) == expected
    assert opened(bundle).describe().model_cache == "read"


@pytest.mark.usefixtures("cache")
def test_what_openvino_does_not_take_back_is_compiled_again(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeviceCache, "read", lambda *_: b"of another build")
    with opened(bundle) as engine:
        assert engine.describe().model_cache == "written"


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(bundle: Bundle, cache: Path) -> None:
    expected = cam_of(opened(bundle))
    (file,) = cache.rglob("*.bin")
    file.unlink()
    file.parent.rmdir()
    file.parent.write_bytes(b"in the way")
    engine = opened(bundle)
    assert engine.describe().model_cache is not None
    assert engine.describe().model_cache.startswith("not written: cannot write")
    assert cam_of(engine) == expected


@pytest.mark.skipif(os.name != "posix", reason="home directories as POSIX has them")
def test_without_a_home_there_is_no_cache_and_no_error(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CXR_EDGE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with opened(bundle) as engine:
        assert engine.describe().model_cache == (
            "not written: this user has no home directory for a cache: set CXR_EDGE_CACHE to a folder"
        )


# --- running -----------------------------------------------------------------------------------------------------


def test_a_failure_of_the_runtime_is_an_engine_error_and_the_next_image_is_not_hit(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxr_edge.engines.openvino_engine import _Request

    with opened(bundle) as engine:
        expected = engine.infer(IMAGE).cam
        with monkeypatch.context() as patch, pytest.raises(EngineError, match="failed on a batch of 1: out of luck$"):
            patch.setattr(_Request, "run", failing)
            engine.infer(IMAGE)
        assert np.array_equal(engine.infer(IMAGE).cam, expected)


def failing(*_: object) -> None:
    raise RuntimeError("Exception from src/plugin.cpp:10:\nout of luck\n\n")


def test_each_image_of_a_batch_has_the_bits_that_it_has_alone(bundle: Bundle) -> None:
    batch = np.concatenate([IMAGE, -IMAGE, IMAGE[:, :, ::-1]])
    with opened(bundle) as engine:
        alone = np.concatenate([engine.infer(batch[number : number + 1]).cam for number in range(3)])
        assert engine.infer(batch).cam.tobytes() == alone.tobytes()


def test_an_opened_engine_was_given_the_threads_that_it_describes(bundle: Bundle) -> None:
    with opened(bundle, threads=1) as engine:
        assert engine.options == EngineOptions("fp32", "cpu", 1)
        assert engine.describe().threads == 1


def test_openvino_sends_nothing_home(bundle: Bundle, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from cxr_edge.bundle import open_bundle\n"
        "from cxr_edge.engines import open_engine\n"
        f"open_engine(open_bundle({str(bundle.path)!r}), 'openvino').warm_up()\n"
        "import openvino\n"
        "assert openvino.Core and openvino.convert_model\n"
        "print(sorted(name for name in sys.modules if name.startswith('openvino_telemetry.')))"
    )
    home = tmp_path / "home"
    home.mkdir()
    # Not marked as CI: there the telemetry is off by itself.
    surroundings = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**surroundings, "HOME": str(home)},
    )
    assert result.stdout.strip() == "[]"
    assert list(home.iterdir()) == []  # the telemetry keeps an identifier there
