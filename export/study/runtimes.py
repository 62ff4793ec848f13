"""Running a scheme's model: ONNX Runtime here, OpenVINO in a process of its own, which it may take down."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from cxr_edge.errors import EngineError
from cxr_edge.evaluation.parity import Outputs

__all__ = ["openvino_installed", "run_onnxruntime", "run_openvino"]

Floats = NDArray[np.float32]

LONGEST_S = 3600
"""Seconds after which a child process counts as hung."""


def run_onnxruntime(model: bytes, inputs: Floats, threads: int = 0) -> Outputs:
    """What ONNX Runtime's CPU provider makes of the images, one by one, as a device sees them.

    Args:
        model: ONNX file's bytes.
        inputs: ``[N, 1, H, W]``.
        threads: 0 leaves the choice to the runtime.

    Raises:
        EngineError: the model does not load or run, or gives numbers that are not finite.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # a failure is raised below, not also printed
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        results = [session.run(["logit", "cam"], {"image": image[None]}) for image in inputs]
    except Exception as error:  # its exception classes share no base
        raise EngineError(f"onnxruntime cannot run this scheme's model: {error}") from error
    return outputs_of(np.concatenate([logit for logit, _ in results]), np.concatenate([cam for _, cam in results]))


def run_openvino(model: bytes, inputs: Floats, threads: int = 0) -> Outputs:
    """The same on OpenVINO's CPU plugin, with float arithmetic in FP32.

    Raises:
        EngineError: the child process failed; the message says how, a crash included.
    """
    with TemporaryDirectory(prefix="cxr-edge-openvino-") as folder:
        files = [Path(folder) / name for name in ("model.onnx", "inputs.npy", "outputs.npz")]
        files[0].write_bytes(model)
        np.save(files[1], inputs)
        command = [sys.executable, "-m", "export.study.openvino_child", *map(str, files), str(threads)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"openvino did not end within {LONGEST_S} s") from error
        if done.returncode < 0:
            raise EngineError(f"openvino's process was ended by signal {-done.returncode}")
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise EngineError(f"openvino failed: {lines[-1] if lines else f'exit code {done.returncode}'}")
        with np.load(files[2]) as found:
            return outputs_of(found["logit"], found["cam"])


def outputs_of(logit: Floats, cam: Floats) -> Outputs:
    """The first output of each image, the one that operating points apply to."""
    if not (np.isfinite(logit).all() and np.isfinite(cam).all()):
        raise EngineError("this scheme's model gave NaN or infinity")
    return Outputs.of(logit[:, 0], cam[:, 0])


def openvino_installed() -> bool:
    """Whether the package is there; it is not imported."""
    return find_spec("openvino") is not None
