"""A directory whose contents get run: only this user may put something there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cxr_edge.atomic import output_errors
from cxr_edge.errors import EngineError

__all__ = ["check_private", "make_private", "read_own_file"]

# A symbolic link is not followed, opening a pipe does not wait. The flags are absent on Windows.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def make_private(directory: Path) -> None:
    """Make the directory where it is not there, for this user alone.

    Raises:
        OutputError: it cannot be made.
        EngineError: it is there, and not private.
    """
    with output_errors(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private(directory)


def check_private(directory: Path) -> None:
    """Refuse a directory that others may write to or that belongs to someone else.

    Raises:
        EngineError: it is such a one.
    """
    if os.name != "posix":  # elsewhere the user's own folders are private by their access lists
        return
    status = directory.stat()
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
        raise EngineError(
            f"the plan directory {directory} belongs to another user or others may write to it, and plans are code: "
            "make it yours alone with chmod 700, or name another with CXR_EDGE_CACHE"
        )


def read_own_file(path: Path, limit: int) -> bytes:
    """The contents of a regular file that belongs to this user.

    Raises:
        OSError: missing, unreadable, a link, another user's, no regular file, or larger than ``limit`` bytes.
    """
    with os.fdopen(os.open(path, OPEN_FLAGS), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise OSError(0, "no regular file, or too large", str(path))
        if os.name == "posix" and (status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o002):
            raise OSError(0, "others may have written it", str(path))
        return file.read(limit + 1)
