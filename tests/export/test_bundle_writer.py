from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from cxr_edge.bundle import open_bundle
from cxr_edge.errors import BundleError, OutputError, UsageError
from export.bundle_writer import write_bundle


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def test_what_was_written_opens_with_the_same_contents(bundle_parts: Any, tmp_path: Path) -> None:
    path = write_bundle(
        tmp_path / "b", bundle_parts.manifest, bundle_parts.files, licences={"MODEL_CARD.md": "CC0-1.0"}
    )
    bundle = open_bundle(path)
    assert path == tmp_path / "b"
    assert names(tmp_path) == ["b"]
    assert {name: bundle.file_bytes(name) for name in bundle_parts.files} == bundle_parts.files
    files = bundle.manifest.files
    assert [files[n].role for n in ("model.fp32.onnx", "golden.npy", "MODEL_CARD.md")] == [
        "model",
        "golden",
        "model-card",
    ]
    assert files["MODEL_CARD.md"].licence == "CC0-1.0"
    assert files["golden.npy"].licence is None


def test_the_same_parts_give_the_same_identity(bundle_parts: Any, tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "first", bundle_parts.manifest, bundle_parts.files)
    reordered = dict(reversed(bundle_parts.files.items()))
    second = write_bundle(tmp_path / "second", bundle_parts.manifest, reordered)
    assert open_bundle(first).sha256 == open_bundle(second).sha256


def test_a_file_given_as_a_path_is_copied(bundle_parts: Any, tmp_path: Path) -> None:
    source = tmp_path / "trained.onnx"
    source.write_bytes(bundle_parts.files["model.fp32.onnx"])
    bundle_parts.files["model.fp32.onnx"] = source
    path = write_bundle(tmp_path / "b", bundle_parts.manifest, bundle_parts.files)
    assert open_bundle(path).model_bytes("fp32") == source.read_bytes()


def test_a_source_that_cannot_be_read_is_named(bundle_parts: Any, tmp_path: Path) -> None:
    bundle_parts.files["golden.npy"] = tmp_path / "lost.npy"
    with pytest.raises(UsageError, match=r"lost\.npy"):
        write_bundle(tmp_path / "b", bundle_parts.manifest, bundle_parts.files)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/b", "manifest.json"])
def test_a_name_that_leads_out_of_the_bundle_is_refused(bundle_parts: Any, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="plain file name"):
        write_bundle(tmp_path / "b", bundle_parts.manifest, {**bundle_parts.files, name: b"x"})
    assert names(tmp_path) == []


def test_a_bundle_that_no_reader_would_open_is_not_written(bundle_parts: Any, tmp_path: Path) -> None:
    del bundle_parts.files["golden.npy"]
    with pytest.raises(BundleError, match=r"golden\.npy"):
        write_bundle(tmp_path / "b", bundle_parts.manifest, bundle_parts.files)
    assert names(tmp_path) == []


def test_an_existing_bundle_is_replaced_only_by_force(bundle_parts: Any, tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "b", bundle_parts.manifest, bundle_parts.files)
    before = open_bundle(path).sha256
    bundle_parts.files["MODEL_CARD.md"] = b"# Another\n"
    with pytest.raises(OutputError, match="exists"):
        write_bundle(path, bundle_parts.manifest, bundle_parts.files)
    assert open_bundle(path).sha256 == before
    write_bundle(path, bundle_parts.manifest, bundle_parts.files, force=True)
    assert open_bundle(path).file_bytes("MODEL_CARD.md") == b"# Another\n"
    assert names(tmp_path) == ["b"]


@pytest.mark.parametrize("kind", ["folder", "file", "link", "dangling link"])
def test_force_replaces_nothing_but_a_bundle(bundle_parts: Any, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "home"
    if kind == "folder":
        path.mkdir()
        (path / "thesis.tex").write_text("years of work")
    elif kind == "file":
        path.write_text("years of work")
    else:
        if kind == "link":
            write_bundle(tmp_path / "target", bundle_parts.manifest, bundle_parts.files)
        path.symlink_to(tmp_path / "target")
    before = names(tmp_path)
    with pytest.raises(OutputError, match="is no bundle"):
        write_bundle(path, bundle_parts.manifest, bundle_parts.files, force=True)
    assert names(tmp_path) == before


def fail_from_call(number: int, error: BaseException) -> Any:
    """A function that raises ``error`` from its n-th call on, and an `os.fsync` before."""
    calls = iter(range(1, 1000))
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if next(calls) >= number:
            raise error
        real(descriptor)

    return fsync


@pytest.mark.parametrize("call", [1, 3, 5])
@pytest.mark.parametrize("force", [False, True])
def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(
    bundle_parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, force: bool
) -> None:
    if force:
        write_bundle(tmp_path / "b", bundle_parts.manifest, bundle_parts.files)
    bundle_parts.files["MODEL_CARD.md"] = b"# Another\n"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_from_call(call, OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OutputError, match="No space left"):
            write_bundle(tmp_path / "b", bundle_parts.manifest, bundle_parts.files, force=force)
    assert names(tmp_path) == (["b"] if force else [])
    if force:
        assert open_bundle(tmp_path / "b").file_bytes("MODEL_CARD.md") != b"# Another\n"


def test_an_interrupt_leaves_nothing(bundle_parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", fail_from_call(2, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "b", bundle_parts.manifest, bundle_parts.files)
    assert names(tmp_path) == []


def test_when_the_last_rename_fails_the_old_bundle_is_put_back(
    bundle_parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bundle(tmp_path / "b", bundle_parts.manifest, bundle_parts.files)
    before = open_bundle(path).sha256
    real, calls = Path.rename, iter(range(10))

    def rename(self: Path, target: Path) -> Path:
        if next(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    bundle_parts.files["MODEL_CARD.md"] = b"# Another\n"
    with pytest.raises(OutputError, match="Input/output error"):
        write_bundle(path, bundle_parts.manifest, bundle_parts.files, force=True)
    assert open_bundle(path).sha256 == before
    assert names(tmp_path) == ["b"]


def test_a_missing_parent_is_an_output_error(bundle_parts: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        write_bundle(tmp_path / "none" / "b", bundle_parts.manifest, bundle_parts.files)
