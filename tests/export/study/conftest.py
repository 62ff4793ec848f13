"""A bundle with a tiny CheXNet that our INT8 can read, and labelled phantoms: folds 1 and 2 for ranges, 0 unseen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_bundle import BundleParts, tiny_files, tiny_manifest
from tiny_run import three_folds, tiny_network
from torch import nn

from export.onnx_graph import build_fp32
from export.study.figures import Figures, SchemeRecord, StudyHeader
from export.study.record import FORMAT, StudyRecord

SIDE = 32


@pytest.fixture(scope="session")
def study_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose logits differ from image to image; read-only by agreement."""
    network = tiny_network(seed=2)
    random = torch.Generator().manual_seed(4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.copy_(torch.rand(module.running_mean.shape, generator=random) * 0.2 - 0.1)
    model = build_fp32(network.eval(), SIDE, SIDE).SerializeToString()
    manifest = replace(tiny_manifest(), name="study")
    return BundleParts(manifest, tiny_files(model)).write(tmp_path_factory.mktemp("study") / "bundle")


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds of four phantoms each."""
    return three_folds(tmp_path_factory.mktemp("study-data") / "phantoms")


def scheme_record(name: str = "ort-min-max", **changes: object) -> SchemeRecord:
    found = Figures(0.9, 0.03, 0.02, 0.01, 0.025, -0.001, 1, 0.991, 0.97)
    values = {
        "scheme": name,
        "title": "a **title**",
        "family": "plain",
        "table": "schemes",
        "range_images": 32,
        "emulated": False,
        "bytes": 7_300_000,
        "sha256": "0" * 64,
        "runtimes": {"onnxruntime": found},
        "failures": {},
    }
    return SchemeRecord(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def study_record() -> StudyRecord:
    """A record with a scheme in every table, one of which a runtime failed to run."""
    header = StudyHeader(
        format=FORMAT,
        model="tiny 1",
        model_sha256="a" * 64,
        images=8,
        abnormal=4,
        images_sha256="b" * 64,
        parity_sources=("phantoms/labels.csv where fold=0: 8 images",),
        range_source="phantoms/labels.csv where fold!=0: 16 images",
        fp32_auc=0.91,
        logit_spread=1.5,
        temperature=1.2,
        operating_point="youden, logit -0.5000",
        versions={"cxr-edge": "0.1.0"},
    )
    schemes = (
        scheme_record(),
        scheme_record("broken", family="ours", runtimes={}, failures={"openvino": "signal 11 | core\ndumped"}),
        scheme_record("fp16", family="half", table="half", emulated=True),
        scheme_record("margin", family="ours", table="options"),
        *(scheme_record(f"many-{n}", table="images", range_images=n) for n in (64, 32)),
    )
    return StudyRecord(header, schemes)
