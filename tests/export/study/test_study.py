from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxr_edge.errors import EngineError, SeenDataError, UsageError
from export.study import runtimes
from export.study.__main__ import main
from export.study.images import read_parity_inputs, read_range_inputs
from export.study.record import StudyRecord
from export.study.runtimes import run_onnxruntime, run_openvino
from export.study.subject import open_subject

QUICK = ("fp16", "ort-min-max", "conv-nearest")


def arguments(bundle: Path, labels: Path, record: Path, *more: str) -> list[str]:
    chosen = [part for name in QUICK for part in ("--scheme", name)]
    data = ["--ranges-data", f"{labels}@fold!=0", "--parity-data", f"{labels}@fold=0"]
    return [str(bundle), *data, "-o", str(record), *chosen, "--range-images", "6", "--no-openvino", *more]


@pytest.fixture(scope="module")
def measured(study_bundle: Path, labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = tmp_path_factory.mktemp("record") / "record.jsonl"
    assert main(arguments(study_bundle, labels, record)) == 0
    return record


def test_every_scheme_is_on_record_with_its_figures(measured: Path) -> None:
    record = StudyRecord.read(measured)
    assert [scheme.scheme for scheme in record.schemes] == list(QUICK)
    assert (record.header.images, record.header.abnormal, record.header.model) == (5, 2, "study 1")
    for scheme in record.schemes:
        assert scheme.failures == {}
        assert scheme.bytes > 1000
        found = scheme.runtimes["onnxruntime"]
        assert 0 < found.mean_probability <= found.p99_probability <= found.max_probability < 0.5
    fp16, plain, ours = (scheme.runtimes["onnxruntime"] for scheme in record.schemes)
    assert fp16.max_probability < min(plain.max_probability, ours.max_probability)


def test_the_record_names_no_place_on_this_machine(measured: Path, labels: Path) -> None:
    assert str(labels.parent.parent) not in measured.read_text()
    assert "phantoms/labels.csv where fold=0: 5 images" in measured.read_text()


def test_what_is_on_record_is_not_measured_again(
    measured: Path, study_bundle: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = measured.read_bytes()
    assert main(arguments(study_bundle, labels, measured)) == 0
    assert capsys.readouterr().out.count("on record already") == len(QUICK)
    assert measured.read_bytes() == before


def test_a_record_of_other_images_is_left_alone(
    measured: Path, study_bundle: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = measured.read_bytes()
    assert main(arguments(study_bundle, labels, measured, "--limit", "3")) == 2
    assert "another study" in capsys.readouterr().err
    assert measured.read_bytes() == before


def test_a_scheme_that_cannot_be_built_is_recorded_and_the_next_one_runs(
    study_bundle: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    record = tmp_path / "record.jsonl"
    assert main([*arguments(study_bundle, labels, record), "--scheme", "nncf"]) == 0
    found = {scheme.scheme: scheme for scheme in StudyRecord.read(record).schemes}
    assert "pip install nncf" in found["nncf"].failures["build"]
    assert found["nncf"].runtimes == {}
    assert found["conv-nearest"].runtimes


def test_range_images_that_are_evaluated_too_are_refused(study_bundle: Path, labels: Path) -> None:
    subject = open_subject(study_bundle)
    parity = read_parity_inputs([f"{labels}@fold=0"], subject, on_image=lambda done: None)
    with pytest.raises(SeenDataError):
        read_range_inputs(str(labels), subject, parity.footprint).chosen(10)


def test_listing_schemes_measures_nothing(
    study_bundle: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(study_bundle, labels, tmp_path / "r.jsonl", "--list")) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_neither_bundle_nor_run_is_refused(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(tmp_path, labels, tmp_path / "r.jsonl")) == 3
    assert "neither a bundle" in capsys.readouterr().err


def test_openvino_gives_what_onnxruntime_gives(study_bundle: Path) -> None:
    pytest.importorskip("openvino")
    subject = open_subject(study_bundle)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 1, 32, 32)).astype(np.float32)
    expected, found = run_onnxruntime(subject.fp32, images), run_openvino(subject.fp32, images)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    np.testing.assert_allclose(found.cams, expected.cams, atol=1e-3)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11"),
        ("raise SystemExit('no such operator')", "openvino failed: no such operator"),
    ],
)
def test_a_process_that_dies_is_reported_and_does_not_end_the_study(
    program: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Callable = runtimes.subprocess.run
    monkeypatch.setattr(
        runtimes.subprocess, "run", lambda command, **options: run([sys.executable, "-c", program], **options)
    )
    with pytest.raises(EngineError, match=message):
        run_openvino(b"", np.zeros((1, 1, 2, 2), np.float32))


def test_a_model_that_does_not_load_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="cannot run this scheme's model"):
        run_onnxruntime(b"no model", np.zeros((1, 1, 2, 2), np.float32))


def test_no_parity_images_at_all_are_a_usage_error(study_bundle: Path, labels: Path) -> None:
    with pytest.raises(UsageError, match="leaves no image"):
        read_parity_inputs([f"{labels}@fold=7"], open_subject(study_bundle), on_image=lambda done: None)
