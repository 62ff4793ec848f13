from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from parity_case import ParityCase, with_head_bias, with_initializer, write_parity_bundle

from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.classifier import Classifier
from cxr_edge.data_use import SEEN_STAMP, DataUse, footprint
from cxr_edge.engines import EngineDescription, EngineOutput
from cxr_edge.errors import DatasetError, EngineError, SeenDataError, UsageError
from cxr_edge.evaluation.parity import ParityReport, joined, measure_parity, parity_images
from cxr_edge.evaluation.parity import preparation as preparation_module
from cxr_edge.labels import read_labels
from cxr_edge.phantom.files import png_bytes
from cxr_edge.records import Radiograph, Window


def test_int8_weights_hold_every_limit_of_the_bundle(report: ParityReport) -> None:
    assert report.passed
    (comparison,) = report.comparisons
    assert (comparison.engine.name, comparison.engine.precision) == ("onnxruntime", "int8")
    assert 0 < comparison.agreement.max_probability < 0.05
    assert comparison.inferiority is not None
    assert comparison.unmeasured == ()


def test_logits_are_those_that_the_classifier_gives(report: ParityReport, bundle: Bundle, case: ParityCase) -> None:
    image = report.images[7]
    for precision, outputs in (("fp32", report.reference_outputs), ("int8", report.comparisons[0].outputs)):
        with Classifier.open(bundle.path, precision=precision, engine="onnxruntime", threads=1) as classifier:
            result = classifier.classify(image.path)
        assert outputs.logits[7] == result.logit
        assert result.evidence is not None
        assert np.array_equal(outputs.cams[7], result.evidence.cam)
    assert np.allclose(report.reference_outputs.logits, case.logits, atol=1e-4)


def test_one_layers_scale_times_four_breaks_limits(case: ParityCase, tmp_path: Path) -> None:
    broken = with_initializer(case.int8, "stem.scale", 4.0)
    bundle = open_bundle(write_parity_bundle(tmp_path / "b", case, broken))
    report = measure_parity(bundle, parity_images([case.labels]), threads=1)
    assert not report.passed
    assert {"max_probability", "p99_probability", "rms_logit_share"} <= {
        check.name for check in report.comparisons[0].broken
    }


def test_a_raised_temperature_hides_a_shift_of_the_probabilities_and_is_caught_by_the_logits(
    case: ParityCase, tmp_path: Path
) -> None:
    shifted = with_head_bias(case.int8, 0.15)
    honest, raised = (
        measure_parity(
            open_bundle(write_parity_bundle(tmp_path / f"{temperature}", case, shifted, temperature=temperature)),
            parity_images([case.labels]),
            threads=1,
        ).comparisons[0]
        for temperature in (1.5, 9.0)
    )
    assert "p99_probability" in {check.name for check in honest.broken}
    assert raised.agreement.p99_probability < raised.tolerances.p99_probability
    assert "rms_logit_share" in {check.name for check in raised.broken}


def test_a_raised_temperature_is_caught_by_the_labels_where_nothing_shifted(case: ParityCase, tmp_path: Path) -> None:
    bundle = open_bundle(write_parity_bundle(tmp_path / "b", case, temperature=9.0))
    report = measure_parity(bundle, parity_images([case.labels]), threads=1)
    assert [check.name for check in report.comparisons[0].broken] == ["temperature_excess"]


def test_each_image_is_decoded_once_whatever_the_number_of_models(
    bundle: Bundle, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    decode = preparation_module.decode
    monkeypatch.setattr(preparation_module, "decode", lambda path: decoded.append(path) or decode(path))
    report = measure_parity(bundle, parity_images([labels], ("half=0",)), threads=1)
    assert decoded == [image.path for image in report.images]


def test_seen_images_are_refused_or_stamped(case: ParityCase, tmp_path: Path) -> None:
    seen = DataUse().with_role("int8-ranges", footprint(read_labels(case.labels, ("half=0",))))
    bundle = open_bundle(write_parity_bundle(tmp_path / "b", case, data_use=seen.to_json()))
    images = parity_images([case.labels])
    with pytest.raises(SeenDataError, match="int8-ranges: 24 images"):
        measure_parity(bundle, images, threads=1)
    assert measure_parity(bundle, images, threads=1, allow_seen=True).stamp == SEEN_STAMP
    assert measure_parity(bundle, parity_images([case.labels], ("half=1",)), threads=1).stamp is None


def test_images_that_nobody_can_use_are_counted_and_named(case: ParityCase, bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(case.labels.parent, tmp_path / "data")
    images = tmp_path / "data" / "images"
    (images / "3.png").write_bytes(b"not an image")
    flat = Radiograph(np.full((224, 224), 9, np.uint8), Window(0, 255))
    (images / "5.png").write_bytes(png_bytes(flat))
    report = measure_parity(bundle, parity_images([tmp_path / "data" / "labels.csv"]), threads=1)
    assert [left.name for left in report.failed] == ["data/images/3.png"]
    assert [left.name for left in report.refused] == ["data/images/5.png"]
    assert "constant" in report.refused[0].reason
    assert len(report.images) == len(case.logits) - 2 == report.comparisons[0].outputs.images


def test_nothing_that_can_be_read_is_an_error(case: ParityCase, bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(case.labels.parent, tmp_path / "data")
    for path in (tmp_path / "data" / "images").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="48 could not be read"):
        measure_parity(bundle, parity_images([tmp_path / "data" / "labels.csv"]), threads=1)


def test_one_class_gives_label_free_figures_and_says_what_is_missing(bundle: Bundle, labels: Path) -> None:
    report = measure_parity(bundle, parity_images([labels], ("label=1",)), threads=1)
    (comparison,) = report.comparisons
    assert report.unlabelled == f"all {len(report.images)} images are abnormal"
    assert comparison.inferiority is None
    assert comparison.agreement.max_probability > 0
    assert {check.name for check in comparison.unmeasured} == {
        "auc_margin",
        "sensitivity_margin",
        "specificity_margin",
        "temperature_excess",
    }
    assert report.passed


def test_images_without_labels_give_label_free_figures(bundle: Bundle, labels: Path) -> None:
    source = read_labels(labels)
    unlabelled = replace(source, images=tuple(replace(image, label=None) for image in source.images))
    report = measure_parity(bundle, joined([unlabelled]), threads=1)
    assert report.unlabelled == "48 of 48 images have no label"
    assert report.labels is None


class Shifted:
    """A reference whose logits are the images' means, and which remembers that it was closed."""

    closed = False

    def describe(self) -> EngineDescription:
        return EngineDescription("torch", "fp32", "cpu", "2", "fp32 stored, fp32 computed", 1)

    def infer(self, images: np.ndarray) -> EngineOutput:
        cam = np.repeat(images.mean(axis=(1, 2, 3))[:, None, None, None], 64, axis=1).reshape(-1, 1, 8, 8)
        return EngineOutput(cam.mean(axis=(2, 3)), cam)

    def close(self) -> None:
        self.closed = True


def test_with_another_reference_the_usual_one_is_compared_too(bundle: Bundle, labels: Path) -> None:
    reference = Shifted()
    report = measure_parity(bundle, parity_images([labels]), reference=reference, threads=1)
    assert [comparison.engine.precision for comparison in report.comparisons] == ["fp32", "int8"]
    assert report.reference.name == "torch"
    assert not report.passed
    assert reference.closed


def test_a_stand_in_is_compared_and_marked(bundle: Bundle, labels: Path) -> None:
    stand_in = Shifted()
    report = measure_parity(bundle, parity_images([labels]), stand_ins={"int8": stand_in}, threads=1)
    assert [(c.engine.name, c.emulated) for c in report.comparisons] == [("onnxruntime", False), ("torch", True)]
    assert stand_in.closed


def test_engines_that_are_missing_are_listed_with_the_reason(case: ParityCase, tmp_path: Path) -> None:
    path = write_parity_bundle(tmp_path / "b", case, engines=("onnxruntime", "abacus"))
    report = measure_parity(open_bundle(path), parity_images([case.labels]), threads=1)
    assert [(item.engine, item.reason) for item in report.unavailable] == [("abacus", "not part of this version")]


def test_what_is_asked_for_by_name_is_there_or_an_error(bundle: Bundle, labels: Path) -> None:
    images = parity_images([labels])
    with pytest.raises(UsageError, match="'abacus' is unknown"):
        measure_parity(bundle, images, engines=["abacus"])
    with pytest.raises(UsageError, match="precision 'int4' is unknown"):
        measure_parity(bundle, images, precisions=["int4"])
    with pytest.raises(EngineError, match="holds no fp16 model"):
        measure_parity(bundle, images, precisions=["fp16"])
    with pytest.raises(EngineError, match="nothing to compare"):
        measure_parity(bundle, images, precisions=["fp32"], engines=["onnxruntime"])


def test_progress_counts_every_image(bundle: Bundle, labels: Path) -> None:
    told: list[tuple[int, int]] = []
    measure_parity(bundle, parity_images([labels]), threads=1, on_image=lambda *at: told.append(at))
    assert told == [(number, 48) for number in range(1, 49)]


def test_the_worst_images_come_first(report: ParityReport) -> None:
    (comparison,) = report.comparisons
    moved = np.abs(report.probabilities(comparison.outputs) - report.probabilities(report.reference_outputs))
    worst = report.worst(comparison, 10)
    assert len(worst) == 10
    assert moved[worst[0]] == comparison.agreement.max_probability
    assert list(moved[list(worst)]) == sorted(moved, reverse=True)[:10]
