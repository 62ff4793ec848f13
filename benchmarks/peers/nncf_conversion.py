"""``python -m benchmarks.peers.nncf_conversion MODEL.onnx TARGET.xml``: NNCF's own INT8 of a plain exported model."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.preprocess import PreprocessSpec, preprocess

CALIBRATION_IMAGES = 32
PHANTOM_SIDE = 256


def convert(model: Path, target: Path) -> None:
    """Quantise with NNCF's defaults and write OpenVINO's files, the one that is looked for last."""
    nncf: Any = import_module("nncf")
    openvino: Any = import_module("openvino")
    network = openvino.Core().read_model(str(model))
    network.reshape([1, 1, 224, 224])
    quantised = nncf.quantize(network, nncf.Dataset(pictures()), subset_size=CALIBRATION_IMAGES)
    finished = target.with_name("unfinished.xml")
    openvino.save_model(quantised, str(finished))
    finished.with_suffix(".bin").replace(target.with_suffix(".bin"))
    finished.replace(target)


def pictures() -> list[np.ndarray]:
    """Phantoms as the network sees them: ``[1, 1, 224, 224]`` float32 each."""
    spec = PreprocessSpec()
    drawn = [
        phantom(PhantomSpec(PHANTOM_SIDE, PHANTOM_SIDE, seed=seed, abnormal=seed % 2 == 1))
        for seed in range(CALIBRATION_IMAGES)
    ]
    return [preprocess(radiograph, spec)[None, None] for radiograph in drawn]


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
