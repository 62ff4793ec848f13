from __future__ import annotations

import hashlib
import io

import numpy as np
import onnxruntime
import pytest
from tiny_run import SPEC, tiny_network

from cxr_edge.preprocess import reference
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Frame, Radiograph
from export.golden import GOLDEN_FILE, golden_frame_bytes, golden_record
from export.onnx_graph import build_fp32


@pytest.fixture(scope="module")
def model() -> bytes:
    return build_fp32(tiny_network().eval(), SPEC.height, SPEC.width).SerializeToString()


def stored_frame() -> np.ndarray:
    return np.load(io.BytesIO(golden_frame_bytes()), allow_pickle=False)


def test_the_record_is_reproducible(model: bytes) -> None:
    assert golden_record({"fp32": model}, SPEC) == golden_record({"fp32": model}, SPEC)
    assert golden_frame_bytes() == golden_frame_bytes()


def test_the_record_follows_from_the_stored_frame_alone(model: bytes) -> None:
    golden = golden_record({"fp32": model}, SPEC)
    radiograph = Radiograph.from_frame(stored_frame(), Frame(bits_stored=golden.bits_stored))
    image = reference.preprocess(radiograph, SPEC)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (logit,) = session.run(["logit"], {"image": image[None, None]})
    assert golden.frame == GOLDEN_FILE
    assert golden.input_sha256 == hashlib.sha256(image.astype("<f4").tobytes()).hexdigest()
    assert golden.logit["fp32"] == pytest.approx(logit[0].tolist(), abs=1e-6)
    assert set(golden.tolerance) == set(golden.logit) == {"fp32"}


def test_another_preprocessing_has_another_input(model: bytes) -> None:
    other = golden_record({"fp32": model}, PreprocessSpec(height=32, width=32, mean=0.4))
    assert other.input_sha256 != golden_record({"fp32": model}, SPEC).input_sha256


def test_every_output_has_its_expected_logit() -> None:
    fourteen = build_fp32(tiny_network(outputs=14).eval(), 32, 32).SerializeToString()
    assert len(golden_record({"fp32": fourteen}, SPEC).logit["fp32"]) == 14


def test_the_frame_exercises_the_resampling() -> None:
    height, width = stored_frame().shape
    assert height != width
    assert height % 224
    assert width % 224
    assert stored_frame().std() > 10


def test_every_precision_has_its_own_logit_and_tolerance(model: bytes) -> None:
    other = build_fp32(tiny_network(seed=3).eval(), SPEC.height, SPEC.width).SerializeToString()
    golden = golden_record({"fp32": model, "int8": other}, SPEC)
    assert golden.logit["fp32"] == golden_record({"fp32": model}, SPEC).logit["fp32"]
    assert golden.logit["int8"] == golden_record({"fp32": other}, SPEC).logit["fp32"]
    assert golden.tolerance["fp32"] < golden.tolerance["int8"]
