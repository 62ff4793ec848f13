"""Bundles made to harm: to read or run what lies outside, to exhaust memory, to show each reader something else."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_edge.bundle import open_bundle
from cxr_edge.bundle.external_data import CHILDREN, DATA_LOCATION, EXTERNAL_DATA, refuse_external_data
from cxr_edge.bundle.verify import MAX_MANIFEST_BYTES
from cxr_edge.errors import BundleError

ESCAPES = [
    "../outside.bin",
    "/etc/passwd",
    "..",
    ".",
    "a/b.bin",
    "a\\b.bin",
    "C:x",
    "x\0y",
    ".hidden",
    "Ünlaut",
    "",
    "x" * 200,
]


@pytest.mark.parametrize("name", ESCAPES)
def test_a_file_name_that_could_lead_elsewhere_is_refused(bundle_parts: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.bin").write_bytes(b"secret")

    def escape(content: dict[str, Any]) -> None:
        content["files"][name] = {"sha256": "0" * 64, "bytes": 6, "role": "evidence"}

    with pytest.raises(BundleError, match="plain file names"):
        open_bundle(bundle_parts.write(tmp_path / "b", escape))


@pytest.mark.parametrize("name", ["Golden.npy", "MANIFEST.json", "manifest.json"])
def test_names_that_differ_only_in_case_are_refused(bundle_parts: Any, tmp_path: Path, name: str) -> None:
    def twin(content: dict[str, Any]) -> None:
        content["files"][name] = {"sha256": "0" * 64, "bytes": 6, "role": "evidence"}

    with pytest.raises(BundleError, match="case is ignored"):
        open_bundle(bundle_parts.write(tmp_path / "b", twin))


@pytest.mark.parametrize("name", ["manifest.json", "model.fp32.onnx", "golden.npy"])
def test_a_symbolic_link_is_refused_even_to_the_right_bytes(bundle_parts: Any, tmp_path: Path, name: str) -> None:
    directory = bundle_parts.write(tmp_path / "b")
    (directory / name).rename(tmp_path / "elsewhere")
    (directory / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=name):
        open_bundle(directory)


def test_a_folder_in_place_of_a_file_is_refused(bundle_parts: Any, tmp_path: Path) -> None:
    directory = bundle_parts.write(tmp_path / "b")
    (directory / "golden.npy").unlink()
    (directory / "golden.npy").mkdir()
    with pytest.raises(BundleError, match="not a regular file"):
        open_bundle(directory)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["manifest.json", "golden.npy"])
def test_a_named_pipe_is_refused_without_waiting_for_a_writer(bundle_parts: Any, tmp_path: Path, name: str) -> None:
    directory = bundle_parts.write(tmp_path / "b")
    (directory / name).unlink()
    os.mkfifo(directory / name)
    with pytest.raises(BundleError, match="not a regular file"):
        open_bundle(directory)


def test_a_huge_manifest_is_refused_unread(bundle_parts: Any, tmp_path: Path) -> None:
    directory = bundle_parts.write(tmp_path / "b")
    with (directory / "manifest.json").open("r+b") as file:
        file.truncate(MAX_MANIFEST_BYTES + 1)
    with pytest.raises(BundleError, match="at most"):
        open_bundle(directory)


def test_thousands_of_files_are_refused(bundle_parts: Any, tmp_path: Path) -> None:
    def many(content: dict[str, Any]) -> None:
        content["files"] = {f"f{i}": {} for i in range(10_000)}

    with pytest.raises(BundleError, match="10000 files"):
        open_bundle(bundle_parts.write(tmp_path / "b", many))


def with_manifest(parts: Any, directory: Path, manifest: bytes) -> Path:
    parts.write(directory)
    (directory / "manifest.json").write_bytes(manifest)
    return directory


SPOILT_JSON = {
    "empty": (b"", "not strict JSON"),
    "not an object": (b"[]", "JSON object"),
    "not UTF-8": (b'{"name": "\xff"}', "not UTF-8"),
    "UTF-16": ('{"schema": 1}'.encode("utf-16"), "not UTF-8"),
    "byte-order mark": (b'\xef\xbb\xbf{"schema": 1}', "not strict JSON"),
    "nested": (b'{"a":' + b"[" * 200_000, "nested too deep|not strict JSON"),
    "million digits": (b'{"schema": ' + b"1" * 1_000_000 + b"}", "not strict JSON"),
    "half a surrogate pair": (b'{"schema": 1, "\\uD800": 1}', "not strict JSON"),
}


@pytest.mark.parametrize("case", SPOILT_JSON)
def test_what_is_no_strict_json_is_refused(bundle_parts: Any, tmp_path: Path, case: str) -> None:
    manifest, message = SPOILT_JSON[case]
    with pytest.raises(BundleError, match=message) as caught:
        open_bundle(with_manifest(bundle_parts, tmp_path / "b", manifest))
    str(caught.value).encode()  # a message that cannot be printed would become a traceback


def manifest_text(parts: Any, directory: Path) -> str:
    return (parts.write(directory) / "manifest.json").read_text()


def test_a_key_given_twice_is_refused(bundle_parts: Any, tmp_path: Path) -> None:
    text = manifest_text(bundle_parts, tmp_path / "original")
    doubled = text.replace('"released": false', '"released": false, "released": true')
    with pytest.raises(BundleError, match="'released' is given twice"):
        open_bundle(with_manifest(bundle_parts, tmp_path / "b", doubled.encode()))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_threshold_that_is_not_finite_is_refused(bundle_parts: Any, tmp_path: Path, number: str) -> None:
    text = manifest_text(bundle_parts, tmp_path / "original")
    spoilt = text.replace('"logit_threshold": 0.1', f'"logit_threshold": {number}')
    assert spoilt != text
    with pytest.raises(BundleError, match="not a finite number"):
        open_bundle(with_manifest(bundle_parts, tmp_path / "b", spoilt.encode()))


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("harm-was-done",))


def npy_claiming(shape: str, descr: str = "|u1", body: bytes = b"") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + body


HOSTILE_NPY = {
    "empty": b"",
    "pickle": pickle.dumps(Harmful()),
    "object array": npy_claiming("(1, 1)", "|O", pickle.dumps(Harmful())),
    "a terabyte promised": npy_claiming("(1000000, 1000000)"),
    "negative": npy_claiming("(-1, -1)", body=b"x"),
    "code in the header": npy_claiming("__import__('os').mkdir('harm-was-done')"),
    "truncated header": npy_claiming("(1, 1)")[:20],
}


@pytest.mark.parametrize("case", HOSTILE_NPY)
def test_a_hostile_golden_frame_is_refused_and_runs_nothing(
    bundle_parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle_parts.files["golden.npy"] = HOSTILE_NPY[case]
    bundle = open_bundle(bundle_parts.write(tmp_path / "b"))
    with pytest.raises(BundleError, match=r"golden\.npy"):
        bundle.golden_radiograph()
    assert not (tmp_path / "harm-was-done").exists()


def external_model(place: str, location: str) -> bytes:
    """An ONNX model with one tensor at ``place`` whose numbers lie in another file."""
    onnx = pytest.importorskip("onnx")
    make = onnx.helper
    tensor = onnx.numpy_helper.from_array(np.ones(4, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    graph = make.make_graph([], "g", [], [])
    if place == "initializer":
        graph.initializer.append(tensor)
    elif place == "attribute":
        graph.node.append(make.make_node("Constant", [], ["w"], value=tensor))
    elif place == "subgraph":
        inner = make.make_graph([], "inner", [], [], [tensor])
        graph.node.append(make.make_node("If", ["c"], ["o"], then_branch=inner, else_branch=inner))
    elif place == "sparse":
        graph.sparse_initializer.add().values.CopyFrom(tensor)
    model = make.make_model(graph)
    if place == "function":
        node = make.make_node("Constant", [], ["w"], value=tensor)
        model.functions.append(make.make_function("d", "f", [], ["w"], [node], [make.make_opsetid("", 17)]))
    if place == "training":
        model.training_info.add().initialization.initializer.append(tensor)
    return model.SerializeToString()


@pytest.mark.parametrize("place", ["initializer", "attribute", "subgraph", "sparse", "function", "training"])
@pytest.mark.parametrize("location", ["weights.bin", "../outside.bin", "/etc/passwd"])
def test_weights_in_another_file_are_refused_before_an_engine_runs(
    bundle_parts: Any, tmp_path: Path, place: str, location: str
) -> None:
    bundle_parts.files["model.fp32.onnx"] = external_model(place, location)
    with pytest.raises(BundleError, match="external data"):
        open_bundle(bundle_parts.write(tmp_path / "b")).model_bytes("fp32")


def test_a_model_with_all_its_weights_inside_passes(tiny_model_bytes: bytes) -> None:
    refuse_external_data(tiny_model_bytes, "model.onnx")


def test_a_model_cut_anywhere_inside_its_graph_is_refused(tiny_model_bytes: bytes) -> None:
    for end in range(len(tiny_model_bytes) // 8, len(tiny_model_bytes) - 32):
        with pytest.raises(BundleError, match="truncated"):
            refuse_external_data(tiny_model_bytes[:end], "model.onnx")


@pytest.mark.parametrize("data", [b"\xff" * 30, b"junk", b"\x0b", b"\x3a\xff\xff\xff\xff\x7f"])
def test_what_is_no_protobuf_message_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="no ONNX model"):
        refuse_external_data(data, "model.onnx")


def test_the_walk_knows_every_field_of_onnx_that_leads_to_a_tensor() -> None:
    onnx = pytest.importorskip("onnx")

    def leads_to_tensor(descriptor: Any, seen: frozenset[str] = frozenset()) -> bool:
        if descriptor.name == "TensorProto":
            return True
        if descriptor.name in seen:
            return False
        return any(
            field.message_type is not None and leads_to_tensor(field.message_type, seen | {descriptor.name})
            for field in descriptor.fields
        )

    pending, found = [onnx.ModelProto.DESCRIPTOR], {}
    while pending:
        descriptor = pending.pop()
        name = descriptor.name.removesuffix("Proto")
        if name in found or name == "Tensor":
            continue
        children = [f for f in descriptor.fields if f.message_type is not None and leads_to_tensor(f.message_type)]
        found[name] = {f.number: f.message_type.name.removesuffix("Proto") for f in children}
        pending += [f.message_type for f in children]
    assert found == {kind: fields for kind, fields in CHILDREN.items() if kind != "Tensor"}
    tensor = onnx.TensorProto.DESCRIPTOR.fields_by_name
    assert (tensor["external_data"].number, tensor["data_location"].number) == (EXTERNAL_DATA, DATA_LOCATION)
