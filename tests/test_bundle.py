from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_edge.bundle import SCHEMA, default_bundle_path, open_bundle
from cxr_edge.errors import BundleError, EngineError, UsageError
from cxr_edge.preprocess.reference import preprocess
from cxr_edge.self_test import self_test

FIXTURES = Path(__file__).parent / "fixtures" / "bundles"
SCHEMA_1, SCHEMA_2 = FIXTURES / "schema1", FIXTURES / "schema2"
SCHEMA_2_LUNGS = FIXTURES / "schema2-lungs"


def test_a_valid_bundle_opens_with_the_values_of_its_manifest(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    assert bundle.manifest.outputs == ("abnormal",)
    assert bundle.manifest.preprocess.height == 32
    assert bundle.manifest.temperature.value == 1.5
    assert bundle.manifest.operating_point().logit_threshold == 0.1
    assert bundle.sha256 == hashlib.sha256((tiny_bundle / "manifest.json").read_bytes()).hexdigest()


def test_model_bytes_are_the_bytes_of_the_listed_file(tiny_bundle: Path) -> None:
    assert open_bundle(tiny_bundle).model_bytes("fp32") == (tiny_bundle / "model.fp32.onnx").read_bytes()


def test_a_manifest_is_read_back_as_it_was_written(tiny_bundle: Path) -> None:
    from cxr_edge.bundle.manifest_reader import read_manifest

    manifest = open_bundle(tiny_bundle).manifest
    assert read_manifest(manifest.to_bytes()) == manifest


def test_the_golden_radiograph_preprocesses_to_the_recorded_hash(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    network_input = preprocess(bundle.golden_radiograph(), bundle.manifest.preprocess)
    assert hashlib.sha256(network_input.astype("<f4").tobytes()).hexdigest() == bundle.manifest.golden.input_sha256


def test_a_bundle_of_schema_1_stays_readable() -> None:
    bundle = open_bundle(SCHEMA_1)
    assert bundle.manifest.name == "tiny"
    assert bundle.golden_radiograph().pixels.shape == (96, 80)
    assert bundle.manifest.models["fp32"].tolerances is None


def test_a_bundle_of_schema_2_carries_its_limits() -> None:
    bundle = open_bundle(SCHEMA_2)
    tolerances = bundle.manifest.models["int8"].tolerances
    assert tolerances is not None
    assert (tolerances.p99_probability, tolerances.cam_median_r) == (0.02, 0.98)
    assert bundle.manifest.models["fp32"].tolerances is None


def test_a_bundle_of_schema_2_with_a_localiser_stays_readable_and_gives_the_same_bits() -> None:
    bundle = open_bundle(SCHEMA_2_LUNGS)
    spec = bundle.manifest.preprocess
    assert (spec.variant, spec.margin, spec.outside, spec.not_found) == ("lungs-masked", 5, 0.5, "body")
    localiser = bundle.manifest.files["lungs.onnx"]
    assert (bundle.manifest.localiser, localiser.role) == ("lungs.onnx", "localiser")
    assert localiser.licence == "CC0-1.0: two nodes made for tests"
    assert {entry.licence for name, entry in bundle.manifest.files.items() if name != "lungs.onnx"} == {None}
    assert self_test(bundle).passed


def test_limits_in_a_manifest_of_schema_1_are_unknown(bundle_parts: Any, tmp_path: Path) -> None:
    def older(content: dict[str, Any]) -> None:
        content["schema"] = 1
        content["models"]["fp32"]["tolerances"] = {}

    with pytest.raises(BundleError, match="models.fp32 has what this version does not know: 'tolerances'"):
        open_bundle(bundle_parts.write(tmp_path / "b", older))


@pytest.mark.parametrize("name", ["model.fp32.onnx", "golden.npy", "MODEL_CARD.md"])
@pytest.mark.parametrize("position", [0, -1])
def test_one_changed_byte_in_any_file_is_refused(bundle_parts: Any, tmp_path: Path, name: str, position: int) -> None:
    directory = bundle_parts.write(tmp_path / "b")
    data = bytearray((directory / name).read_bytes())
    data[position] ^= 1
    (directory / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name}.*SHA-256"):
        open_bundle(directory)


def test_a_file_changed_after_opening_is_refused_when_it_is_loaded(bundle_parts: Any, tmp_path: Path) -> None:
    directory = bundle_parts.write(tmp_path / "b")
    bundle = open_bundle(directory)
    data = bytearray((directory / "model.fp32.onnx").read_bytes())
    data[20] ^= 1
    (directory / "model.fp32.onnx").write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256"):
        bundle.model_bytes("fp32")


@pytest.mark.parametrize("name", ["manifest.json", "model.fp32.onnx", "golden.npy", "MODEL_CARD.md"])
def test_a_missing_file_is_named(bundle_parts: Any, tmp_path: Path, name: str) -> None:
    directory = bundle_parts.write(tmp_path / "b")
    (directory / name).unlink()
    with pytest.raises(BundleError, match=name):
        open_bundle(directory)


def test_an_unlisted_file_is_refused_by_name(bundle_parts: Any, tmp_path: Path) -> None:
    directory = bundle_parts.write(tmp_path / "b")
    (directory / "weights.bin").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"'weights\.bin'.*does not list"):
        open_bundle(directory)


@pytest.mark.parametrize("change", [b"", b"more"])
def test_a_file_of_another_size_is_refused(bundle_parts: Any, tmp_path: Path, change: bytes) -> None:
    directory = bundle_parts.write(tmp_path / "b")
    path = directory / "golden.npy"
    path.write_bytes(path.read_bytes() + change if change else path.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"golden\.npy.*bytes"):
        open_bundle(directory)


def test_a_newer_schema_is_refused_with_the_version_that_reads_it(bundle_parts: Any, tmp_path: Path) -> None:
    def newer(content: dict[str, Any]) -> None:
        content.update(schema=SCHEMA + 1, cxr_edge_version="9.8.7", something_new={})

    with pytest.raises(BundleError, match=r"cxr-edge 9\.8\.7 or later"):
        open_bundle(bundle_parts.write(tmp_path / "b", newer))


@pytest.mark.parametrize("schema", [0, -1, "1", 1.0, True, None, 10**30])
def test_a_schema_that_never_existed_is_refused(bundle_parts: Any, tmp_path: Path, schema: object) -> None:
    with pytest.raises(BundleError, match="schema"):
        open_bundle(bundle_parts.write(tmp_path / "b", lambda content: content.update(schema=schema)))


@pytest.mark.parametrize("name", ["bundle.zip", "bundle.tar"])
def test_an_archive_is_refused_with_a_hint(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(BundleError, match="unpack"):
        open_bundle(path)


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere"):
        open_bundle(tmp_path / "nowhere")


def test_the_default_bundle_lies_in_the_package() -> None:
    import cxr_edge

    assert default_bundle_path() == Path(str(cxr_edge.__file__)).parent / "models" / "default"


def test_a_missing_default_bundle_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_edge.bundle.reader.default_bundle_path", lambda: tmp_path / "none")
    with pytest.raises(BundleError, match="no default bundle"):
        open_bundle()


def test_asking_for_what_the_bundle_lacks_lists_what_it_has(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    with pytest.raises(EngineError, match="holds fp32"):
        bundle.model_bytes("int8")
    with pytest.raises(UsageError, match="known are fp32, fp16"):
        bundle.model_bytes("int4")
    with pytest.raises(UsageError, match="golden"):
        bundle.file_bytes("secret")
    with pytest.raises(UsageError, match="it has balanced"):
        bundle.manifest.operating_point("keen")


def remove(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.pop(key)


def put(value: object, *path: str) -> Callable[[dict[str, Any]], object]:
    def change(content: dict[str, Any]) -> None:
        place: Any = content
        for key in path[:-1]:
            place = place[int(key)] if key.isdigit() else place[key]
        place[path[-1]] = value

    return change


CONTRADICTIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown key": (put(1, "surprise"), "does not know: 'surprise'"),
    "unknown key below": (put(1, "golden", "surprise"), "golden has what"),
    "no name": (remove("name"), "lacks 'name'"),
    "empty name": (put("", "name"), "name must be"),
    "control characters": (put("\x1b[2J", "name"), "printable"),
    "bad date": (put("yesterday", "created"), "ISO date"),
    "released as text": (put("yes", "released"), "true or false"),
    "no models": (put({}, "models"), "models is empty"),
    "unknown precision": (put({"file": "m.onnx"}, "models", "int4"), "int4"),
    "model file unlisted": (put("other.onnx", "models", "fp32", "file"), "'other.onnx', which its files do not list"),
    "model file is no ONNX": (put("golden.npy", "models", "fp32", "file"), "models.fp32.file"),
    "parity without permission": (put([], "models", "fp32", "engines"), "parity_passed"),
    "limits without one": (put({"max_probability": 0.05}, "models", "fp32", "tolerances"), "tolerances lacks"),
    "engine listed twice": (put(["a", "a"], "models", "fp32", "engines"), "twice"),
    "default precision absent": (put("int8", "default_precision", "cpu"), "which models lacks"),
    "unknown device": (put("fp32", "default_precision", "tpu"), "'tpu'"),
    "no outputs": (put([], "outputs"), "outputs is empty"),
    "other number of golden logits": (put([1.0, 2.0], "golden", "logit", "fp32"), "2 values for 1 outputs"),
    "golden without tolerance": (put({}, "golden", "tolerance"), "exactly the precisions"),
    "negative tolerance": (put(-1.0, "golden", "tolerance", "fp32"), "tolerance.fp32"),
    "golden hash": (put("00", "golden", "input_sha256"), "input_sha256"),
    "no operating points": (put([], "operating_points"), "non-empty list"),
    "unprintable operating point": (put("\x1b[2J", "operating_points", "0", "name"), "cannot be printed"),
    "default operating point absent": (put("keen", "default_operating_point"), "'keen'"),
    "temperature zero": (put(0, "temperature"), "temperature"),
    "temperature text": (put("1", "temperature"), "a number"),
    "huge integer": (put(10**400, "temperature"), "temperature"),
    "unknown preprocessing": (put("clahe", "preprocess", "equalise"), "preprocess"),
    "half a pixel": (put(1.5, "preprocess", "height"), "preprocess.height"),
    "normalisation by text": (put("0.5", "preprocess", "mean"), "preprocess.mean"),
    "unknown role": (put("plugin", "files", "golden.npy", "role"), "role is 'plugin'"),
    "wrong role": (put("evidence", "files", "golden.npy", "role"), "role is 'evidence'"),
    "negative size": (put(-1, "files", "golden.npy", "bytes"), "bytes"),
    "size beyond the limit": (put(1 << 40, "files", "golden.npy", "bytes"), "bytes"),
    "upper-case hash": (put("A" * 64, "files", "golden.npy", "sha256"), "sha256"),
    "files as a list": (put([], "files"), "files must be an object"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_manifest_that_contradicts_itself_is_refused_by_place(bundle_parts: Any, tmp_path: Path, case: str) -> None:
    change, message = CONTRADICTIONS[case]
    with pytest.raises(BundleError) as caught:
        open_bundle(bundle_parts.write(tmp_path / "b", change))
    assert message in str(caught.value)


def test_an_operating_point_name_is_given_once(bundle_parts: Any, tmp_path: Path) -> None:
    points = bundle_parts.manifest.operating_points
    bundle_parts.manifest = dataclasses.replace(bundle_parts.manifest, operating_points=points * 2)
    with pytest.raises(BundleError, match="twice: balanced, balanced"):
        open_bundle(bundle_parts.write(tmp_path / "b"))


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_a_golden_file_that_is_no_frame_is_refused(bundle_parts: Any, tmp_path: Path, pixels: np.ndarray) -> None:
    import io

    buffer = io.BytesIO()
    np.save(buffer, pixels)
    bundle_parts.files["golden.npy"] = buffer.getvalue()
    with pytest.raises(BundleError, match="one uint8 or uint16 frame"):
        open_bundle(bundle_parts.write(tmp_path / "b")).golden_radiograph()


@pytest.mark.parametrize("place", ["stat", "scandir", "open", "read"])
def test_a_bundle_that_cannot_be_read_is_a_bundle_error(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    target = {"stat": (Path, "is_dir"), "scandir": (os, "scandir"), "open": (os, "open"), "read": (os, "fstat")}[place]
    with monkeypatch.context() as patched:
        patched.setattr(*target, refuse)
        with pytest.raises(BundleError, match="Permission denied"):
            open_bundle(tiny_bundle)
