"""The default model's FP32 weights on part of the NIH images: another hospital, honestly measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import BundleParts

from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.classifier import Classifier
from cxr_edge.data_use import HASH_DIGITS, image_sha256
from cxr_edge.errors import SeenDataError
from cxr_edge.evaluation.measure import measure
from cxr_edge.labels import read_labels
from cxr_edge.self_test import self_test
from export.evidence import PARITY_FILE
from export.site import SiteOptions, fit_site_bundle

PART = ("split=val", "view_position=PA", "subset=nih_talo1000")


@pytest.mark.real_data
def test_a_site_bundle_of_real_images_works_and_its_logits_are_those_of_the_parents_record(
    nih_folder: Path, tmp_path: Path
) -> None:
    default = open_bundle()
    labels = nih_folder / "labels.csv"
    report = fit_site_bundle(
        SiteOptions(labels, tmp_path / "site", bundle=fp32_alone(default, tmp_path / "parent"), where=PART, threads=1)
    )
    images = report.measured.images.images
    recorded = {row["name"]: row["logit"][0] for row in json.loads(default.file_bytes(PARITY_FILE))["images"]}
    expected = [recorded[image_sha256(image.path)[:HASH_DIGITS]] for image in images]
    assert np.allclose(report.fit.predictions.logits, expected, atol=1e-3)

    site = open_bundle(report.destination)
    assert site.manifest.version == f"{default.manifest.version}+site.nih"
    assert self_test(site).passed
    with Classifier.open(site.path, engine="onnxruntime") as classifier:
        assert classifier.classify(images[0].path).logit == pytest.approx(expected[0], abs=1e-3)
        with pytest.raises(SeenDataError, match=f"site: {len(images)} images"):
            measure(classifier, read_labels(labels, PART))


def fp32_alone(bundle: Bundle, directory: Path) -> Path:
    """The bundle without its other precisions: one engine is enough here, and the others are compared elsewhere."""
    manifest = bundle.manifest
    golden = replace(
        manifest.golden,
        logit={"fp32": manifest.golden.logit["fp32"]},
        tolerance={"fp32": manifest.golden.tolerance["fp32"]},
    )
    fp32 = replace(manifest.models["fp32"], engines=("onnxruntime",), parity_passed=("onnxruntime",))
    kept = (fp32.file, golden.frame, manifest.model_card)
    alone = replace(manifest, models={"fp32": fp32}, default_precision={"cpu": "fp32"}, golden=golden, files={})
    return BundleParts(alone, {name: bundle.file_bytes(name) for name in kept}).write(directory)
