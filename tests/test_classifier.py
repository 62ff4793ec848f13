"""Classifier: stages joined, results complete, errors contained, threads safe."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_edge import Classifier, Frame, Radiograph, Window
from cxr_edge.bundle import Bundle
from cxr_edge.engines import Engine, EngineDescription, EngineOutput, open_engine
from cxr_edge.errors import (
    BundleError,
    CorruptInputError,
    EngineError,
    UnsupportedInputError,
    UsageError,
)
from cxr_edge.phantom import PhantomSpec, phantom, render
from cxr_edge.phantom.files import write_dicom, write_png
from cxr_edge.preprocess import preprocess
from cxr_edge.probability import calibrated_probability

SPEC = PhantomSpec(height=300, width=260, bits_stored=12, seed=3)


@pytest.fixture(scope="module")
def classifier(tiny_bundle: Path) -> Classifier:
    return Classifier.open(tiny_bundle)


def test_a_result_is_complete_and_consistent(classifier: Classifier) -> None:
    result = classifier.classify(phantom(SPEC))
    assert result.status == "ok"
    assert result.logit is not None and result.probability is not None
    assert result.probability == calibrated_probability(result.logit, classifier.bundle.manifest.temperature)
    assert result.label == ("abnormal" if result.logit >= result.threshold else "normal")
    assert result.gate is not None and result.gate.passed
    assert result.timings.total is not None and result.timings.infer is not None
    assert result.timings.total >= result.timings.infer > 0
    assert (result.engine.name, result.engine.precision, result.engine.device) == ("onnxruntime", "fp32", "cpu")
    assert result.bundle.sha256 == classifier.bundle.sha256


def test_path_bytes_radiograph_and_frame_give_the_same_bits(classifier: Classifier, tmp_path: Path) -> None:
    picture = render(SPEC)
    write_dicom(picture, tmp_path / "x.dcm")
    sources = [
        tmp_path / "x.dcm",
        str(tmp_path / "x.dcm"),
        (tmp_path / "x.dcm").read_bytes(),
        picture.radiograph,
        (picture.radiograph.pixels, Frame(bits_stored=12)),
    ]
    assert len({classifier.classify(source).logit for source in sources}) == 1


def test_the_inverted_twin_has_the_same_probability(classifier: Classifier) -> None:
    plain, twin = (classifier.classify(phantom(replace(SPEC, inverted=inverted))) for inverted in (False, True))
    assert plain.probability == pytest.approx(twin.probability, abs=1e-6)


def test_the_logit_is_the_mean_of_the_heatmaps_map(classifier: Classifier) -> None:
    result = classifier.classify(phantom(SPEC))
    assert result.evidence is not None
    assert float(result.evidence.cam.mean()) == pytest.approx(result.logit, abs=1e-5)
    assert result.heatmap.overlay().shape[2] == 3


def test_a_refused_image_has_reasons_and_no_probability(classifier: Classifier) -> None:
    result = classifier.classify(phantom(replace(SPEC, height=100)))
    assert result.status == "refused"
    assert result.probability is None and result.label is None and result.logit is None
    assert result.gate is not None and "100" in str(result.gate.reasons[0])
    with pytest.raises(UsageError, match="refused"):
        _ = result.heatmap


def test_without_the_gate_the_result_says_so(tiny_bundle: Path) -> None:
    with Classifier.open(tiny_bundle, gated=False) as ungated:
        result = ungated.classify(phantom(replace(SPEC, height=100)))
    assert result.status == "ok" and result.gate is None
    assert any("gate was switched off" in warning for warning in result.warnings)


def test_a_batch_goes_on_past_bad_inputs_in_order(classifier: Classifier, tmp_path: Path) -> None:
    write_png(render(SPEC), tmp_path / "good.png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.dcm").write_text("no image")
    (tmp_path / "gif.png").write_bytes(b"GIF89a" + bytes(40))
    names = ["good.png", "empty.png", "text.dcm", "missing.png", "gif.png", "good.png"]
    results = list(classifier.classify_many(tmp_path / name for name in names))
    assert [result.status for result in results] == ["ok", "error", "error", "error", "error", "ok"]
    assert [r.failure.exit_code for r in results if r.failure] == [3, 3, 3, 4]
    assert results[0].logit == results[-1].logit
    assert [Path(str(result.path)).name for result in results] == names


def test_single_errors_are_raised_with_their_class(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(CorruptInputError):
        classifier.classify(tmp_path / "missing.png")
    with pytest.raises(UnsupportedInputError):
        classifier.classify(b"GIF89a" + bytes(40))
    with pytest.raises(UsageError, match="cannot classify a int"):
        classifier.classify(7)  # type: ignore[arg-type]


def test_the_hash_is_of_the_files_bytes_and_only_on_request(classifier: Classifier, tmp_path: Path) -> None:
    write_png(render(SPEC), tmp_path / "x.png")
    expected = hashlib.sha256((tmp_path / "x.png").read_bytes()).hexdigest()
    assert classifier.classify(tmp_path / "x.png", hash_input=True).input_sha256 == expected
    assert classifier.classify(tmp_path / "x.png").input_sha256 is None


def test_eight_threads_get_the_bits_that_one_gets(classifier: Classifier) -> None:
    radiographs = [phantom(replace(SPEC, seed=seed)) for seed in range(6)]
    alone = [classifier.classify(radiograph).logit for radiograph in radiographs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda radiograph: classifier.classify(radiograph).logit, radiographs * 4))
    assert together == alone * 4


def test_a_closed_classifier_is_an_engine_error(tiny_bundle: Path) -> None:
    opened = Classifier.open(tiny_bundle)
    opened.close()
    with pytest.raises(EngineError, match="closed"):
        opened.classify(phantom(SPEC))


def test_unknown_operating_points_and_precisions_are_refused_by_name(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="operating point 'best'"):
        Classifier.open(tiny_bundle, operating_point="best")
    with pytest.raises(UsageError, match="int4"):
        Classifier.open(tiny_bundle, precision="int4")


@pytest.mark.parametrize("frame", [Frame(bits_stored=0), Frame(bits_stored=17)])
def test_a_frame_that_its_pixels_cannot_hold_is_refused(classifier: Classifier, frame: Frame) -> None:
    with pytest.raises(UsageError, match="bits_stored"):
        classifier.classify((np.zeros((300, 300), np.uint16), frame))


def test_a_colour_array_is_refused(classifier: Classifier) -> None:
    with pytest.raises(UsageError, match=r"\[H, W\]"):
        classifier.classify((np.zeros((300, 300, 3), np.uint8), Frame(bits_stored=8)))


@pytest.mark.parametrize(
    "fields",
    [
        {"bits_stored": "8"},
        {"bits_stored": 7.5},
        {"bits_stored": 8, "padding": (5,)},
        {"bits_stored": 8, "padding": (5, 4)},
        {"bits_stored": 8, "padding": (0, 2**40)},
        {"bits_stored": 8, "padding": (0.5, 2)},
        {"bits_stored": 8, "window": (0, 255)},
    ],
)
def test_a_frame_that_describes_nothing_is_refused_when_it_is_made(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Frame(**fields)


def test_a_radiograph_with_a_padding_that_is_no_range_is_refused() -> None:
    with pytest.raises(UsageError, match="padding"):
        Radiograph(np.zeros((9, 9), np.uint8), Window(0, 255), padding=(5,))  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [None, 7, ([[1]], Frame(8)), (np.zeros((9, 9), np.uint8), 8), (1, 2, 3)])
def test_something_that_is_no_image_fails_alone(classifier: Classifier, bad: Any) -> None:
    results = list(classifier.classify_many([bad, phantom(SPEC)]))
    assert [result.status for result in results] == ["error", "ok"]
    assert results[0].failure is not None and results[0].failure.code == "usage"


@pytest.mark.parametrize("stage", ["decode", "region_input"])
def test_a_bug_costs_only_the_image_that_meets_it_and_quotes_nothing(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    write_png(render(SPEC), tmp_path / "x.png")

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("DOE^JANE")

    results = classifier.classify_many([tmp_path / "x.png", phantom(SPEC)], ahead=0)
    with monkeypatch.context() as patched:
        patched.setattr(f"cxr_edge.classifier.{stage}", fail)
        failed = next(results)
    assert failed.status == "error" and failed.path == str(tmp_path / "x.png")
    assert failed.failure is not None
    assert (failed.failure.code, failed.failure.exit_code) == ("internal", 1)
    assert "ZeroDivisionError" in failed.failure.message and "JANE" not in failed.failure.message
    assert next(results).status == "ok"


@pytest.mark.parametrize("kind", [str, Path, str.encode])
def test_a_single_source_instead_of_several_is_refused_at_once(
    classifier: Classifier, kind: Callable[..., Any]
) -> None:
    with pytest.raises(UsageError, match="list"):
        classifier.classify_many(kind("x.png"))


def test_several_images_of_a_batch_are_decoded_at_once(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2, timeout=10)  # broken, and each result an error, where they take turns

    def slow(source: object, **_: object) -> Radiograph:
        together.wait()
        return phantom(SPEC)

    monkeypatch.setattr("cxr_edge.classifier.decode", slow)
    monkeypatch.setattr("cxr_edge.classifier.available_threads", lambda: 2)
    results = list(classifier.classify_many([b"1", b"2", b"3", b"4"], ahead=2))
    assert [result.status for result in results] == ["ok"] * 4


def test_leaving_a_batch_early_waits_for_no_queued_decode(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    second_runs, go_on = threading.Event(), threading.Event()

    def slow(source: object, **_: object) -> Radiograph:
        decoded.append(source)
        if len(decoded) == 2:
            second_runs.set()
            go_on.wait(10)
        return phantom(SPEC)

    monkeypatch.setattr("cxr_edge.classifier.decode", slow)
    monkeypatch.setattr("cxr_edge.classifier.available_threads", lambda: 1)
    results = classifier.classify_many([b"1", b"2", b"3", b"4"], ahead=3)
    assert next(results).status == "ok"
    assert second_runs.wait(10)
    threading.Timer(0.2, go_on.set).start()
    results.close()  # type: ignore[attr-defined]
    assert decoded == [b"1", b"2"]


def test_an_engine_that_fails_to_warm_up_is_closed(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Engine] = []
    close = Engine.close

    def fail(_: Engine) -> None:
        raise EngineError("no memory left")

    def closing(engine: Engine) -> None:
        closed.append(engine)
        close(engine)

    monkeypatch.setattr(Engine, "warm_up", fail)
    monkeypatch.setattr(Engine, "close", closing)
    with pytest.raises(EngineError, match="no memory left"):
        Classifier.open(tiny_bundle)
    assert len(closed) == 1


@pytest.mark.parametrize(("section", "value"), [("gate", {"max_tilt": 3}), ("data_use", {"parts": {}})])
def test_a_section_that_cannot_be_read_is_a_bundle_error_before_an_engine_opens(
    bundle_parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str, value: dict[str, Any]
) -> None:
    bundle = bundle_parts.write(tmp_path / "b", lambda manifest: manifest.update({section: value}))
    monkeypatch.setattr("cxr_edge.classifier.open_engine", lambda *_, **__: pytest.fail("an engine was opened"))
    with pytest.raises(BundleError, match=section):
        Classifier.open(bundle)


@pytest.mark.real_data
def test_tag_and_pixels_inverted_together_change_nothing_but_the_tag_alone_does(dicom_folder: Path) -> None:
    """File 02 is 01 with only its polarity tag changed; our own twin of 01 has tag and pixels changed."""
    from cxr_edge.decode import decode

    with Classifier.open() as default:
        original = decode(dicom_folder / "01_txv_rsna_pa_mono2_jpegbase.dcm")
        inverted = (original.window.hi + original.window.lo - original.pixels.astype(int)).astype(original.pixels.dtype)
        twin = Radiograph(inverted, original.window, inverted=True)
        probability = default.classify(original).probability
        assert default.classify(twin).probability == pytest.approx(probability, abs=1e-6)
        tag_alone = default.classify(dicom_folder / "02_txv_fake_mono1_jpegbase.dcm").probability
    assert probability is not None and tag_alone is not None and abs(tag_alone - probability) > 1e-3


class SelfPreprocessing(Engine):
    """An engine that preprocesses by itself, as one on a GPU does; what it computes is another engine's."""

    def __init__(self, bundle: Bundle, inner: Engine) -> None:
        super().__init__(bundle, inner.options)
        self.bundle, self.inner = bundle, inner

    def preprocesses(self) -> bool:
        return True

    def infer_radiograph(self, radiograph: Radiograph) -> EngineOutput:
        return self.inner.infer(preprocess(radiograph, self.bundle.manifest.preprocess)[None, None])

    def describe(self) -> EngineDescription:
        return self.inner.describe()

    def _infer(self, images: np.ndarray) -> EngineOutput:
        raise AssertionError("the classifier preprocessed for an engine that does it itself")

    def _release(self) -> None:
        self.inner.close()


def test_an_engine_that_preprocesses_gets_the_radiograph_itself(classifier: Classifier) -> None:
    engine = SelfPreprocessing(classifier.bundle, open_engine(classifier.bundle, engine="onnxruntime"))
    with Classifier(classifier.bundle, engine) as by_itself:
        result = by_itself.classify(phantom(SPEC))
    assert result.logit == classifier.classify(phantom(SPEC)).logit
    assert result.timings.preprocess is None
    assert result.timings.infer is not None


def test_an_engine_that_does_not_preprocess_says_so(classifier: Classifier) -> None:
    assert not classifier.engine.preprocesses()
    with pytest.raises(EngineError, match="engine onnxruntime takes preprocessed images"):
        classifier.engine.infer_radiograph(phantom(SPEC))
