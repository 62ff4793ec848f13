"""A bundle with a network of a few hundred weights, made from a seed: the same one on every machine.

The network keeps the ONNX contract (image -> logit, cam; logit = mean of cam) and nothing else of the real one.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_edge.bundle import FileEntry, Golden, Manifest, ModelEntry
from cxr_edge.preprocess.reference import preprocess
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.probability import OperatingPoint, Temperature
from cxr_edge.records import Frame, Radiograph

SIDE = 32
SPEC = PreprocessSpec(height=SIDE, width=SIDE)


def tiny_onnx(seed: int = 0, outputs: int = 1, poison: float | None = None, side: int = SIDE) -> bytes:
    """A model with a 5x5 and a 1x1 convolution; ``poison`` replaces one weight, NaN for example."""
    onnx = pytest.importorskip("onnx")
    make, tensor = onnx.helper, onnx.numpy_helper.from_array
    rng = np.random.default_rng(seed)
    stem = rng.normal(0.0, 0.3, (8, 1, 5, 5)).astype(np.float32)
    head = rng.normal(0.0, 0.5, (outputs, 8, 1, 1)).astype(np.float32)
    if poison is not None:
        head[0, 0, 0, 0] = poison
    nodes = [
        make.make_node("Conv", ["image", "stem"], ["features"], strides=[4, 4], pads=[2, 2, 2, 2]),
        make.make_node("Relu", ["features"], ["active"]),
        make.make_node("Conv", ["active", "head"], ["cam"]),
        make.make_node("ReduceMean", ["cam"], ["logit"], axes=[2, 3], keepdims=0),
    ]
    graph = make.make_graph(
        nodes,
        "tiny",
        [make.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["N", 1, side, side])],
        [
            make.make_tensor_value_info("logit", onnx.TensorProto.FLOAT, ["N", outputs]),
            make.make_tensor_value_info("cam", onnx.TensorProto.FLOAT, ["N", outputs, side // 4, side // 4]),
        ],
        [tensor(stem, "stem"), tensor(head, "head")],
    )
    # Opset 17 and IR 8 are read by every supported runtime.
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def golden_frame() -> np.ndarray:
    """A smooth 12-bit frame with some noise, 96 x 80."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[0:96, 0:80]
    smooth = 2000 + 1200 * np.sin(rows / 17.0) * np.cos(columns / 11.0)
    return (smooth + rng.normal(0, 60, smooth.shape)).clip(0, 4095).astype(np.uint16)


def tiny_manifest(logit: tuple[float, ...] = (0.25,), outputs: tuple[str, ...] = ("abnormal",)) -> Manifest:
    radiograph = Radiograph.from_frame(golden_frame(), Frame(bits_stored=12))
    network_input = preprocess(radiograph, SPEC).astype("<f4")
    return Manifest(
        name="tiny",
        version="1",
        created="2026-01-31",
        cxr_edge_version="0.1.0",
        released=False,
        models={"fp32": ModelEntry("model.fp32.onnx", ("onnxruntime",), ("onnxruntime",))},
        default_precision={"cpu": "fp32"},
        outputs=outputs,
        preprocess=SPEC,
        gate={},
        temperature=Temperature(1.5),
        operating_points=(OperatingPoint("balanced", 0.1, rule="chosen for tests"),),
        default_operating_point="balanced",
        golden=Golden(
            frame="golden.npy",
            bits_stored=12,
            input_sha256=hashlib.sha256(network_input.tobytes()).hexdigest(),
            logit={"fp32": logit},
            tolerance={"fp32": 1e-4},
        ),
        data_use={"roles": {}},
        evidence={},
        model_card="MODEL_CARD.md",
    )


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def tiny_files(model: bytes) -> dict[str, bytes]:
    return {
        "model.fp32.onnx": model,
        "golden.npy": npy_bytes(golden_frame()),
        "MODEL_CARD.md": b"# Tiny model, for tests only\n",
    }


@dataclass
class BundleParts:
    """What a bundle directory is made of, to be spoilt by a test before `write` puts it down without any check."""

    manifest: Manifest = field(default_factory=tiny_manifest)
    files: dict[str, bytes] = field(default_factory=dict)

    def write(self, directory: Path, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
        """The directory with manifest and files; ``change`` edits the manifest's JSON in place."""
        entries = {
            name: FileEntry(name, hashlib.sha256(data).hexdigest(), len(data), self.manifest.role_of(name))
            for name, data in self.files.items()
        }
        content = json.loads(replace(self.manifest, files=entries).to_bytes())
        if change is not None:
            change(content)
        directory.mkdir()
        for name, data in self.files.items():
            (directory / name).write_bytes(data)
        (directory / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
        return directory


def write_valid_bundle(directory: Path) -> Path:
    """A bundle whose golden logit is what ONNX Runtime gives."""
    import onnxruntime

    model = tiny_onnx()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    radiograph = Radiograph.from_frame(golden_frame(), Frame(bits_stored=12))
    (logit,) = session.run(["logit"], {"image": preprocess(radiograph, SPEC)[None, None]})
    parts = BundleParts(tiny_manifest(tuple(map(float, logit[0]))), tiny_files(model))
    return parts.write(directory)
