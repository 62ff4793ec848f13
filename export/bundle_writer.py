"""Writing a bundle so that it is either there as a whole, and opens, or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from cxr_edge.atomic import output_errors, sync_directory, temporary_name, write_synced
from cxr_edge.bundle import MANIFEST_NAME, FileEntry, Manifest, open_bundle
from cxr_edge.errors import OutputError, UsageError

__all__ = ["check_replaceable", "write_bundle"]


def write_bundle(
    destination: Path,
    manifest: Manifest,
    files: Mapping[str, bytes | Path],
    *,
    licences: Mapping[str, str] | None = None,
    force: bool = False,
) -> Path:
    """The destination, holding a complete bundle that `cxr_edge.bundle.open_bundle` has opened once.

    Everything is written and synced in a hidden directory beside the destination, opened as a reader would, and then
    renamed.

    Args:
        destination: directory to make; its parent must exist.
        manifest: everything but ``files``, which is filled in here: sizes, hashes, and roles by what refers to them.
        files: contents by file name; a path is copied.
        licences: terms of single files, by file name.
        force: replace a bundle that is there. Anything else that is there is never replaced.

    Raises:
        UsageError: a name that is no plain file name, or a file to copy that cannot be read.
        OutputError: the destination exists, or cannot be written; what stood there is unchanged, except that the
            new bundle is in place, whole, where nothing but the sync of the parent directory failed.
        BundleError: the manifest contradicts itself or the files; nothing is written then.
    """
    check_replaceable(destination, force=force)
    contents = {name: _contents_of(name, source) for name, source in sorted(files.items())}
    with output_errors(destination), _scratch_directory(destination.parent) as scratch:
        _write_contents(scratch, manifest, contents, licences or {})
        open_bundle(scratch)
        _move_into_place(scratch, destination)
        sync_directory(destination.parent)
    return destination


def check_replaceable(destination: Path, *, force: bool) -> None:
    """Return when a bundle may be written to the destination.

    Raises:
        OutputError: it exists and ``force`` is not set, or it is something else than a bundle.
    """
    if not destination.absolute().parent.is_dir():
        raise OutputError(f"cannot write {destination}: there is no folder {destination.absolute().parent}")
    if not (destination.exists() or destination.is_symlink()):
        return
    if not force:
        raise OutputError(f"{destination} exists: choose another place, or ask to replace it (force)")
    if destination.is_symlink() or not (destination / MANIFEST_NAME).is_file():
        raise OutputError(f"{destination} is no bundle, so it is not replaced: choose another place")


@contextlib.contextmanager
def _scratch_directory(parent: Path) -> Iterator[Path]:
    """A new hidden directory on the destination's file system; it is gone afterwards unless it was renamed."""
    scratch = parent / temporary_name()
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _contents_of(name: str, source: bytes | Path) -> bytes:
    if Path(name).name != name or name == MANIFEST_NAME:
        raise UsageError(f"{name!r} cannot be the name of a file in a bundle: use a plain file name")
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {source}, which is to become {name} of the bundle: {error.strerror}") from error


def _write_contents(
    directory: Path, manifest: Manifest, contents: Mapping[str, bytes], licences: Mapping[str, str]
) -> None:
    entries = {}
    for name, data in contents.items():
        write_synced(directory / name, data)
        digest = hashlib.sha256(data).hexdigest()
        entries[name] = FileEntry(name, digest, len(data), manifest.role_of(name), licences.get(name))
    write_synced(directory / MANIFEST_NAME, replace(manifest, files=entries).to_bytes())
    sync_directory(directory)


def _move_into_place(scratch: Path, destination: Path) -> None:
    """Rename the finished bundle to its place; an older one there is put back when that fails.

    POSIX has no call that replaces a directory that is not empty, so between the two renames, and only then, a reader
    finds nothing at the destination; it never finds half a bundle.
    """
    if not destination.exists():
        scratch.rename(destination)
        return
    old = destination.parent / temporary_name()
    destination.rename(old)
    try:
        scratch.rename(destination)
    except BaseException:
        old.rename(destination)
        raise
    shutil.rmtree(old, ignore_errors=True)
