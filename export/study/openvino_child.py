"""A process that runs one model on OpenVINO: ``python -m export.study.openvino_child MODEL INPUTS OUTPUTS THREADS``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from cxr_edge.engines.silent_openvino import openvino


def main(model: str, inputs: str, outputs: str, threads: str) -> None:
    """Write ``logit`` and ``cam`` of every image to an ``.npz`` file.

    Args:
        model: ONNX file.
        inputs: ``.npy`` file with ``[N, 1, H, W]``.
        outputs: file to write.
        threads: CPU threads; 0 leaves the choice to the runtime.
    """
    images = np.load(inputs)
    network = openvino.Core().read_model(Path(model).read_bytes())
    network.reshape({"image": [1, *images.shape[1:]]})
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if int(threads):
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = openvino.Core().compile_model(network, "CPU", settings)
    found = [compiled(image[None]) for image in images]
    np.savez(
        outputs,
        logit=np.concatenate([result["logit"] for result in found]),
        cam=np.concatenate([result["cam"] for result in found]),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
