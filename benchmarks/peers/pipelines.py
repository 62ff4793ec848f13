"""From a frame in memory, or from starting a process, to a probability, as people write it."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.networks import Image, Network, load_eager, load_nncf, load_onnxruntime
from benchmarks.peers.resizers import frame_of, normalised
from benchmarks.peers.torchxrayvision_style import MAX_VALUE, SIZE, resized
from cxr_edge.bench.cell import CellRequest
from cxr_edge.bench.memory import memory_of_ended_children
from cxr_edge.bench.workload import Repetition, Workload, timed
from cxr_edge.errors import EngineError

__all__ = [
    "monai_transforms",
    "opencv_onnxruntime",
    "opencv_openvino_nncf",
    "torchxrayvision_one_shot",
    "torchxrayvision_style",
]

Resize = Callable[[NDArray[np.uint16]], Image]


def torchxrayvision_style(request: CellRequest) -> Workload:
    """Torchxrayvision's transforms and PyTorch eager."""
    return _pipeline(request, resized, load_eager)


def monai_transforms(request: CellRequest) -> Workload:
    """MONAI's array transforms, resizing by area, and PyTorch eager."""
    import torch

    monai: Any = import_module("monai.transforms")
    torch.set_num_threads(request.cell.threads)
    transforms = monai.Compose(
        [
            monai.EnsureChannelFirst(channel_dim="no_channel"),
            monai.ScaleIntensityRange(a_min=0, a_max=MAX_VALUE, b_min=-1.0, b_max=1.0),
            monai.Resize(SIZE, mode="area"),
        ]
    )
    # MONAI keeps the input's type while scaling, so integers are made float32 first, as its examples do.
    return _pipeline(request, lambda frame: np.asarray(transforms(frame.astype(np.float32)))[0], load_eager)


def opencv_onnxruntime(request: CellRequest) -> Workload:
    """OpenCV's INTER_AREA and a plain ONNX Runtime session."""
    return _pipeline(request, opencv_resize(request.cell.threads), load_onnxruntime)


def opencv_openvino_nncf(request: CellRequest) -> Workload:
    """OpenCV's INTER_AREA and OpenVINO on NNCF's own INT8."""
    return _pipeline(request, opencv_resize(request.cell.threads), load_nncf)


def opencv_resize(threads: int) -> Resize:
    """OpenCV's INTER_AREA, then the small picture normalised."""
    import cv2

    cv2.setNumThreads(threads)
    return lambda frame: normalised(cv2.resize(frame, SIZE, interpolation=cv2.INTER_AREA))


def torchxrayvision_one_shot(request: CellRequest) -> Workload:
    """A script of the torchxrayvision kind on one DICOM file, from starting the process until it has ended.

    Raises:
        EngineError: when run, the script failed.
    """
    import torch

    from benchmarks.peers.densenet import DenseNet121

    weights = Path(request.workspace) / "densenet121.pt"
    torch.save(DenseNet121().state_dict(), weights)
    script = [sys.executable, "-m", "benchmarks.peers.one_shot"]
    command = [*script, str(request.sample), str(weights), str(request.cell.threads)]

    def run() -> Repetition:
        started = time.perf_counter_ns()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"the script failed: {done.stderr[-400:]}")
        return Repetition((time.perf_counter_ns() - started) / 1e6)

    return Workload(run, memory=memory_of_ended_children)


def _pipeline(request: CellRequest, resize: Resize, load: Callable[[CellRequest], Network]) -> Workload:
    frame = frame_of(request)
    started = time.perf_counter()
    network = load(request)
    network.infer(np.zeros((1, 1, *SIZE), np.float32))
    load_ms = (time.perf_counter() - started) * 1000

    def classify() -> float:
        small = np.ascontiguousarray(resize(frame), np.float32)[None, None]
        return 1.0 / (1.0 + math.exp(-network.infer(small)))

    return Workload(timed(classify), load_ms=load_ms, model_bytes=network.model_bytes, computed_by=network.described)
