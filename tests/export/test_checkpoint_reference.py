from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tiny_bundle import tiny_manifest
from tiny_run import SPEC, tiny_checkpoint, tiny_network

from cxr_edge.errors import DatasetError
from export.checkpoint_reference import CheckpointReference
from export.onnx_graph import build_fp32

INPUTS = np.random.default_rng(0).normal(size=(3, 1, 32, 32)).astype(np.float32)


def test_it_gives_what_the_exported_graph_gives(tmp_path: Path) -> None:
    reference = CheckpointReference(tiny_checkpoint(tmp_path / "model.pt"), tiny_manifest(), threads=1)
    graph = build_fp32(tiny_network().eval(), SPEC.height, SPEC.width).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    logit, cam = session.run(["logit", "cam"], {"image": INPUTS})
    output = reference.infer(INPUTS)
    reference.close()
    assert np.allclose(output.logit, logit, atol=1e-5)
    assert np.allclose(output.cam, cam, atol=1e-4)
    assert reference.describe().name == "torch"


def test_a_checkpoint_with_other_outputs_is_refused(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "model.pt", outputs=("pneumonia",))
    with pytest.raises(DatasetError, match="gives pneumonia; the bundle gives abnormal"):
        CheckpointReference(checkpoint, replace(tiny_manifest(), outputs=("abnormal",)))
