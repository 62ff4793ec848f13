"""Writing a file so that a reader sees either all of it or what stood there before, even after a power cut."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from cxr_edge.errors import OutputError

__all__ = ["output_errors", "sync_directory", "temporary_name", "write_atomically", "write_synced"]


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Put ``data`` at ``path``, replacing a file that is there, in one step that other processes see as instantaneous.

    The bytes go to a temporary file in the same directory, reach the disk (fsync), and are then renamed; last the
    directory is synced. Where ``path`` is a symbolic link, the link is replaced, not the file that it points to.

    Args:
        path: file to write; its directory must exist.
        data: the whole contents.

    Raises:
        OutputError: the directory is missing or read-only, the disk is full, ``path`` is a directory; what stood at
            ``path`` is unchanged and no temporary file is left. Only where the very last step fails, the sync of the
            directory, is the new file in place, whole, but perhaps not after a power cut.
    """
    target = Path(path)
    temporary = target.parent / temporary_name()
    with output_errors(target):
        try:
            write_synced(temporary, data)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(target.parent)


def temporary_name() -> str:
    """A fresh name for an unfinished file: hidden, and free of the final name, which may identify a patient."""
    return f".cxr-edge-{secrets.token_hex(8)}.part"


def write_synced(path: Path, data: bytes) -> None:
    """Create the new file ``path`` with ``data`` and wait until the disk has it.

    Raises:
        OSError: the file exists already, or cannot be written.
    """
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Wait until the disk has the names in ``directory``: without it a power cut can undo a finished rename.

    Raises:
        OSError: the directory cannot be read or synced.
    """
    if os.name != "posix":  # elsewhere a directory cannot be opened
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an operating-system error inside the block into an `OutputError` that names ``path``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(
            f"cannot write {path}: {reason}; check that its folder exists, is writable and has space"
        ) from error
