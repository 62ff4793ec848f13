"""The network alone, as a plain script would run it: DenseNet-121 with one channel, 224 x 224.

ONNX Runtime and OpenVINO get the shipped FP32 model. PyTorch gets the same layers with random weights, which take the
same time. NNCF converts the shipped FP32 model with its defaults, calibrated on phantoms: its speed is compared here,
not its accuracy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.bench.cell import CellRequest
from cxr_edge.bench.workload import Workload, timed
from cxr_edge.bundle import open_bundle
from cxr_edge.errors import EngineError

__all__ = [
    "Network",
    "load_eager",
    "load_nncf",
    "load_onnxruntime",
    "onnxruntime_plain",
    "openvino_nncf",
    "openvino_plain",
    "pytorch_compiled",
    "pytorch_eager",
]

Image = NDArray[np.float32]
SEED = 0


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded network: ``[1, 1, 224, 224]`` float32 to a logit, with its model's file size and a description."""

    infer: Callable[[Image], float]
    model_bytes: int | None
    described: str


def pytorch_eager(request: CellRequest) -> Workload:
    """PyTorch as it comes, channels last."""
    return _workload(request, load_eager)


def pytorch_compiled(request: CellRequest) -> Workload:
    """PyTorch with ``torch.compile``; loading holds the compilation, which later processes of the run find done."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(request.workspace) / "inductor"))
    return _workload(request, lambda request: load_eager(request, compiled=True))


def onnxruntime_plain(request: CellRequest) -> Workload:
    """ONNX Runtime with nothing set but the threads."""
    return _workload(request, load_onnxruntime)


def openvino_plain(request: CellRequest) -> Workload:
    """OpenVINO with nothing set but threads and the latency hint: it computes in BF16 where the CPU has it."""
    return _workload(request, lambda request: _openvino(request, fp32_path(request)))


def openvino_nncf(request: CellRequest) -> Workload:
    """OpenVINO on what ``nncf.quantize`` makes of the plain exported model."""
    return _workload(request, load_nncf)


def load_eager(request: CellRequest, *, compiled: bool = False) -> Network:
    """PyTorch's network."""
    import torch

    from benchmarks.peers.densenet import DenseNet121

    torch.set_num_threads(request.cell.threads)
    torch.manual_seed(SEED)
    module: Any = DenseNet121()  # Any: torch's stubs know no `to` with a memory format alone
    module = module.eval().to(memory_format=torch.channels_last)
    if compiled:
        module = torch.compile(module)

    def infer(image: Image) -> float:
        with torch.inference_mode():
            return float(module(torch.from_numpy(image)))

    return Network(infer, None, f"torch {torch.__version__}")


def load_onnxruntime(request: CellRequest) -> Network:
    """ONNX Runtime's session."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = request.cell.threads
    path = fp32_path(request)
    session: Any = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    described = f"onnxruntime {onnxruntime.__version__}"
    return Network(
        lambda image: float(session.run(["logit"], {"image": image})[0][0, 0]), path.stat().st_size, described
    )


def load_nncf(request: CellRequest) -> Network:
    """OpenVINO's network in NNCF's INT8; converted once a run, in a process whose memory is not in the figures.

    Raises:
        EngineError: the conversion failed.
    """
    target = Path(request.workspace) / "nncf-int8.xml"
    if not target.exists():
        command = [sys.executable, "-m", "benchmarks.peers.nncf_conversion", str(fp32_path(request)), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"NNCF's conversion failed: {done.stderr[-400:]}")
    return _openvino(request, target)


def fp32_path(request: CellRequest) -> Path:
    """The shipped model as it was exported.

    Raises:
        EngineError: the bundle has none.
    """
    bundle = open_bundle(request.bundle)
    if "fp32" not in bundle.manifest.models:
        raise EngineError(f"bundle {bundle.manifest.name!r} holds no fp32 model for the peers to run")
    return bundle.path / bundle.manifest.models["fp32"].file


def _openvino(request: CellRequest, model: Path) -> Network:
    openvino: Any = import_module("openvino")
    settings = {"INFERENCE_NUM_THREADS": request.cell.threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled: Any = openvino.Core().compile_model(str(model), "CPU", settings)
    computed = compiled.get_property("INFERENCE_PRECISION_HINT")
    weights = model.with_suffix(".bin")
    size = model.stat().st_size + (weights.stat().st_size if weights.exists() else 0)
    described = f"openvino {openvino.__version__.partition('-')[0]}, precision hint {computed.get_type_name()}"
    return Network(lambda image: float(compiled(image)["logit"][0, 0]), size, described)


def _workload(request: CellRequest, load: Callable[[CellRequest], Network]) -> Workload:
    image = np.random.default_rng(SEED).uniform(-1, 1, (1, 1, 224, 224)).astype(np.float32)
    started = time.perf_counter()
    network = load(request)
    network.infer(image)
    load_ms = (time.perf_counter() - started) * 1000
    return Workload(
        timed(lambda: network.infer(image)),
        load_ms=load_ms,
        model_bytes=network.model_bytes,
        computed_by=network.described,
    )
