"""Comparing a bundle's directory with its manifest, without following anything out of the directory."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from cxr_edge.bundle.entries import FileEntry
from cxr_edge.bundle.manifest import MANIFEST_NAME
from cxr_edge.errors import BundleError

__all__ = ["MAX_MANIFEST_BYTES", "check_listing", "read_regular_file", "read_verified", "verify_contents"]

PIECE_BYTES = 1 << 18
"""How much of a file is hashed at a time: small enough to stay in a processor's cache."""

MAX_MANIFEST_BYTES = 16 << 20
"""Largest manifest: the hashes of 100,000 images and their patients take about 10 MiB."""

# A symbolic link is not followed, opening a pipe does not wait for a writer. Both flags are absent on Windows.
OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def check_listing(directory: Path, names: Iterable[str]) -> None:
    """Check that a directory holds exactly the manifest and the named files, each of them a regular file.

    Raises:
        BundleError: something is missing, is there unlisted, or is a link, folder or device.
    """
    expected = {MANIFEST_NAME, *names}
    with os.scandir(directory) as entries:
        found = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    for name in sorted(expected - set(found)):
        raise BundleError(f"the bundle lacks {name}: copy it again as a whole")
    for name in sorted(set(found) - expected):
        raise BundleError(
            f"the bundle has {name!r}, which its manifest does not list: remove it or copy the bundle again"
        )
    for name, regular in found.items():
        if not regular:
            raise BundleError(f"{name} of the bundle is not a regular file; links and folders are not allowed")


def read_verified(directory: Path, entry: FileEntry) -> bytes:
    """The contents of a listed file, read once and hashed as read: what was verified is what the caller holds.

    Raises:
        BundleError: missing, no regular file, or of another size or hash than the manifest says.
    """
    data = read_regular_file(directory / entry.name, entry.size)
    _check_matches(entry, len(data), hashlib.sha256(data).hexdigest())
    return data


def verify_contents(directory: Path, entry: FileEntry) -> None:
    """Check a listed file's size and hash without holding it: opening a bundle leaves no memory behind.

    Raises:
        BundleError: as `read_verified` does.
    """
    found, size = hashlib.sha256(), 0
    try:
        with _open_regular(directory / entry.name, entry.size) as file:
            while size <= entry.size and (piece := file.read(PIECE_BYTES)):
                found.update(piece)
                size += len(piece)
    except OSError as error:
        raise BundleError(f"cannot read {entry.name} of the bundle: {error.strerror}") from error
    _check_matches(entry, size, found.hexdigest())


def read_regular_file(path: Path, limit: int) -> bytes:
    """The contents of a regular file of at most ``limit`` bytes, which is checked before anything is read.

    Raises:
        BundleError: missing, unreadable, a link or something else that is no regular file, or larger.
    """
    try:
        return _read_regular_file(path, limit)
    except OSError as error:
        raise BundleError(f"cannot read {path.name} of the bundle: {error.strerror}") from error


def _read_regular_file(path: Path, limit: int) -> bytes:
    with _open_regular(path, limit) as file:
        return file.read(limit + 1)


def _open_regular(path: Path, limit: int) -> BinaryIO:
    """The file, opened; the caller closes it."""
    file = os.fdopen(os.open(path, OPEN_FLAGS), "rb")
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{path.name} of the bundle is not a regular file; links and folders are not allowed")
        if status.st_size > limit:
            raise BundleError(f"{path.name} of the bundle has {status.st_size} bytes; at most {limit} are expected")
    except BaseException:
        file.close()
        raise
    return file


def _check_matches(entry: FileEntry, size: int, sha256: str) -> None:
    if size != entry.size:
        raise BundleError(f"{entry.name} of the bundle has {size} bytes; its manifest says {entry.size}: copy it again")
    if sha256 != entry.sha256:
        raise BundleError(
            f"{entry.name} of the bundle does not match its SHA-256: it was changed or damaged; copy it again"
        )
