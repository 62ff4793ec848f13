from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from parity_case import FEW_IMAGES, TEMPERATURE, ParityCase, parity_case, with_head_bias, with_initializer
from parity_case import write_parity_bundle as write

from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.engines import EngineDescription, EngineOutput
from cxr_edge.errors import CheckFailedError, DatasetError
from cxr_edge.evaluation.parity import ParityImages, parity_images
from export.emulated_model import EmulatedModel
from export.parity_gate import hold_gate


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> ParityCase:
    return parity_case(tmp_path_factory.getbasetemp())


@pytest.fixture
def images(case: ParityCase) -> ParityImages:
    return parity_images([case.labels])


def bundle_of(directory: Path, case: ParityCase, candidate: bytes | None = None, **changes: object) -> Bundle:
    directory.mkdir(exist_ok=True)
    return open_bundle(write(directory / "bundle", case, candidate, **changes))  # type: ignore[arg-type]


def test_a_faithful_int8_model_passes_and_its_engine_may_be_chosen(
    case: ParityCase, images: ParityImages, tmp_path: Path
) -> None:
    bundle = bundle_of(tmp_path, case)
    outcome = hold_gate(bundle, images, threads=1)
    outcome.require()
    entries = outcome.entries(bundle.manifest.models)
    assert outcome.held
    assert (entries["fp32"].parity_passed, entries["int8"].parity_passed) == (("onnxruntime",), ("onnxruntime",))


@pytest.mark.parametrize("layer", ["stem.scale", "head.scale"])
def test_one_layers_scale_times_four_fails_the_gate(
    case: ParityCase, images: ParityImages, tmp_path: Path, layer: str
) -> None:
    bundle = bundle_of(tmp_path, case, with_initializer(case.int8, layer, 4.0))
    outcome = hold_gate(bundle, images, threads=1)
    with pytest.raises(CheckFailedError, match="onnxruntime int8: RMS"):
        outcome.require()
    assert outcome.entries(bundle.manifest.models)["int8"].parity_passed == ()


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_raising_the_temperature_never_makes_a_shifted_model_pass(
    case: ParityCase, images: ParityImages, tmp_path: Path, factor: int
) -> None:
    """Whatever it does to the probabilities, the logits' shift stays, and from some size on the labels speak, too."""
    shifted = with_head_bias(case.int8, 0.2)
    bundle = bundle_of(tmp_path, case, shifted, temperature=TEMPERATURE * factor)
    with pytest.raises(CheckFailedError, match="RMS"):
        hold_gate(bundle, images, threads=1).require()


def test_a_raised_temperature_fails_even_where_the_shift_is_below_what_logits_show(
    case: ParityCase, images: ParityImages, tmp_path: Path
) -> None:
    """Limits on logits that someone has loosened: the labels still say that the temperature is wrong."""
    blind = replace(FEW_IMAGES, rms_logit_share=1.0)
    shifted = with_head_bias(case.int8, 0.2)
    honest = hold_gate(bundle_of(tmp_path / "a", case, shifted, tolerances=blind), images, threads=1)
    raised = hold_gate(
        bundle_of(tmp_path / "b", case, shifted, tolerances=blind, temperature=6 * TEMPERATURE), images, threads=1
    )
    assert {check.name for check in honest.report.comparisons[0].broken} >= {"p99_probability"}
    assert [check.name for check in raised.report.comparisons[0].broken] == ["temperature_excess"]
    assert raised.report.comparisons[0].loosened == (
        "rms_logit_share",
        "auc_margin",
        "sensitivity_margin",
        "specificity_margin",
    )
    assert not raised.held


@pytest.mark.parametrize("label", [0, 1])
def test_a_release_needs_images_of_both_classes(case: ParityCase, tmp_path: Path, label: int) -> None:
    with pytest.raises(DatasetError, match=f"all of class {label}"):
        hold_gate(bundle_of(tmp_path, case), parity_images([case.labels], (f"label={label}",)), threads=1)


def test_a_release_needs_labels(case: ParityCase, images: ParityImages, tmp_path: Path) -> None:
    source = images.sources[0]
    first = replace(source.images[0], label=None)
    unlabelled = ParityImages((replace(source, images=(first, *source.images[1:])),))
    with pytest.raises(DatasetError, match="without labels"):
        hold_gate(bundle_of(tmp_path, case), unlabelled, threads=1)


def test_an_image_that_cannot_be_read_is_not_left_out_of_a_release(case: ParityCase, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    source = parity_images([case.labels]).sources[0]
    torn = replace(source.images[0], path=tmp_path / "torn.png")
    with pytest.raises(DatasetError, match="1 parity images could not be read"):
        hold_gate(
            bundle_of(tmp_path, case), ParityImages((replace(source, images=(torn, *source.images[1:])),)), threads=1
        )


class Wrong:
    """An emulation that gives another map than the model."""

    def describe(self) -> EngineDescription:
        return EngineDescription("emulation", "int8", "cpu", "1", "rounded", 1)

    def infer(self, images: np.ndarray) -> EngineOutput:
        cam = np.full((len(images), 1, 8, 8), float(images.std()), np.float32)
        return EngineOutput(cam.mean(axis=(2, 3)), cam)

    def close(self) -> None:
        """Hold nothing."""


def test_a_failing_emulation_keeps_a_bundle_back_but_takes_no_engine_its_pass(
    case: ParityCase, images: ParityImages, tmp_path: Path
) -> None:
    bundle = bundle_of(tmp_path, case)
    outcome = hold_gate(bundle, images, stand_ins={"int8": Wrong()}, threads=1)
    assert not outcome.held
    assert all("(emulated)" in fault for fault in outcome.faults)
    assert outcome.entries(bundle.manifest.models)["int8"].parity_passed == ("onnxruntime",)


def test_a_passing_emulation_lets_no_engine_pass(case: ParityCase, images: ParityImages, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, case, engines=("tensorrt",))
    outcome = hold_gate(bundle, images, stand_ins={"int8": EmulatedModel(case.int8, "int8", 1)}, threads=1)
    assert outcome.held
    assert outcome.entries(bundle.manifest.models)["int8"].parity_passed == ()


@pytest.mark.real_data
def test_one_damaged_layer_of_the_shipped_int8_model_fails_on_real_images(
    shenzhen_folder: Path, tmp_path: Path
) -> None:
    shipped = open_bundle()
    if "int8" not in shipped.manifest.models:
        pytest.skip("the shipped bundle holds no int8 model")
    damaged = onnx.load_from_string(shipped.model_bytes("int8"))
    scales = {node.input[1] for node in damaged.graph.node if node.op_type == "DequantizeLinear"}
    tensor = max(
        (t for t in damaged.graph.initializer if t.name in scales), key=lambda t: len(numpy_helper.to_array(t).ravel())
    )
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 4, tensor.name))
    from export.bundle_writer import write_bundle

    files: dict[str, bytes | Path] = {name: shipped.file_bytes(name) for name in shipped.manifest.files}
    files[shipped.manifest.models["int8"].file] = damaged.SerializeToString()
    bundle = open_bundle(write_bundle(tmp_path / "damaged", shipped.manifest, files))
    source = parity_images([f"{shenzhen_folder / 'labels.csv'}@fold=0"]).sources[0]
    some = tuple(i for label in (0, 1) for i in [i for i in source.images if i.label == label][:6])
    outcome = hold_gate(bundle, ParityImages((replace(source, images=some),)), threads=1)
    assert {"rms_logit_share", "max_probability"} <= {
        check.name for comparison in outcome.report.comparisons for check in comparison.broken
    }
