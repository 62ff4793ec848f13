from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tiny_run import SPEC, TinyRun, tiny_network

from calibration.ranges import choose_range_images
from cxr_edge.bundle import PRECISIONS
from cxr_edge.errors import CheckFailedError, UsageError
from cxr_edge.evaluation.parity import DEFAULT_TOLERANCES
from cxr_edge.labels import read_labels
from export.artefacts import Artefacts, build_artefacts, check_precisions
from export.emulated_model import EmulatedModel
from export.int8 import Int8Options, ShiftLimits
from export.onnx_graph import build_fp32


@pytest.fixture(scope="module")
def fp32() -> bytes:
    return build_fp32(tiny_network().eval(), SPEC.height, SPEC.width).SerializeToString()


@pytest.fixture(scope="module")
def artefacts(fp32: bytes, tiny_run: TinyRun) -> Artefacts:
    images = choose_range_images(read_labels(tiny_run.labels, ("view=PA",)), 8, release_fold="0")
    return build_artefacts(fp32, PRECISIONS, images, SPEC, Int8Options())


def int8_weights(model: bytes) -> set[str]:
    """Hashes of the integers that a graph stores."""
    tensors = (numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(model).graph.initializer)
    return {hashlib.sha256(t.tobytes()).hexdigest() for t in tensors if t.dtype == np.int8 and t.ndim == 4}


def test_every_precision_is_made_once_and_fp32_is_left_alone(artefacts: Artefacts, fp32: bytes) -> None:
    assert tuple(artefacts.models) == PRECISIONS
    assert artefacts.models["fp32"] == fp32
    assert set(artefacts.files) == {f"model.{precision}.onnx" for precision in PRECISIONS}


def test_the_twin_for_tensorrt_holds_the_same_integers(artefacts: Artefacts) -> None:
    integers = int8_weights(artefacts.models["int8"])
    assert len(integers) > 5
    assert int8_weights(artefacts.models["int8-fp16"]) == integers


def test_precisions_that_compute_in_fp16_come_with_an_emulation_that_runs(artefacts: Artefacts) -> None:
    assert set(artefacts.emulations) == {"fp16", "int8-fp16"}
    model = EmulatedModel(artefacts.emulations["fp16"], "fp16", threads=1)
    output = model.infer(np.zeros((1, 1, SPEC.height, SPEC.width), np.float32))
    assert output.logit.shape == (1, 1)
    assert model.describe().computed_as == "fp32 computed, every stored tensor rounded to fp16"
    model.close()


def test_before_any_measurement_only_the_reference_has_passed(artefacts: Artefacts) -> None:
    entries = artefacts.entries()
    assert {p: entry.parity_passed for p, entry in entries.items() if entry.parity_passed} == {"fp32": ("onnxruntime",)}
    assert {p: entry.tolerances for p, entry in entries.items()} == {p: DEFAULT_TOLERANCES[p] for p in PRECISIONS}


def test_what_was_done_is_recorded_with_the_images_that_were_seen(artefacts: Artefacts) -> None:
    assert artefacts.record["int8"]["range_images"] == 8
    assert artefacts.record["fp16"]["images"] == 8
    assert artefacts.seen is not None
    assert len(artefacts.seen.images) == 8


def test_limits_that_hold_change_nothing_and_are_recorded(artefacts: Artefacts, fp32: bytes, tiny_run: TinyRun) -> None:
    images = choose_range_images(read_labels(tiny_run.labels, ("view=PA",)), 8, release_fold="0")
    limits = ShiftLimits(max_auc_drop=1.0, max_probability_shift=1.0)
    made = build_artefacts(fp32, ("fp32", "int8", "int8-fp16"), images, SPEC, Int8Options(), limits=limits)
    assert {p: made.models[p] == artefacts.models[p] for p in made.models} == dict.fromkeys(made.models, True)
    record = made.record["int8"]["fallback"]
    assert record["kept_float"] == []
    assert [limit["allowed"] for limit in record["limits"]] == [1.0, 1.0]
    assert "fallback" not in artefacts.record["int8"]


def test_a_limit_that_no_int8_holds_makes_no_artefacts(fp32: bytes, tiny_run: TinyRun) -> None:
    images = choose_range_images(read_labels(tiny_run.labels, ("view=PA",)), 4, release_fold="0")
    with pytest.raises(CheckFailedError, match="largest shift of a probability on the range images"):
        build_artefacts(
            fp32, ("fp32", "int8"), images, SPEC, Int8Options(), limits=ShiftLimits(max_probability_shift=1e-12)
        )


def test_fp32_alone_needs_no_images(fp32: bytes) -> None:
    made = build_artefacts(fp32, ("fp32",), None, SPEC, Int8Options())
    assert (dict(made.models), made.seen) == ({"fp32": fp32}, None)


@pytest.mark.parametrize(
    ("precisions", "says"), [(("int8",), "needs its fp32"), (("fp32", "int4"), "'int4' is unknown")]
)
def test_precisions_that_make_no_bundle_are_refused(precisions: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_precisions(precisions)


def test_limits_of_int8_go_with_an_int8_precision() -> None:
    limits = ShiftLimits(max_auc_drop=0.01)
    with pytest.raises(UsageError, match="go with precision int8"):
        check_precisions(("fp32", "fp16"), limits)
    check_precisions(("fp32", "int8-fp16"), limits)
