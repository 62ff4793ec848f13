"""Getting at the input's bytes. Paths never appear in messages: file names of radiographs often hold patient names."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cxr_edge.decode.limits import DecodeLimits
from cxr_edge.errors import CorruptInputError, ResourceLimitError

__all__ = ["read_source"]


def read_source(source: str | os.PathLike[str] | bytes, limits: DecodeLimits) -> bytes:
    """The input's contents.

    Args:
        source: a path, or the contents themselves.
        limits: gives the largest size that is read.

    Raises:
        CorruptInputError: the file is missing, a directory, a device or not readable.
        ResourceLimitError: more than `limits.max_file_bytes`.
    """
    if isinstance(source, bytes):
        _check_size(len(source), limits.max_file_bytes)
        return source
    try:
        return _read_file(Path(source), limits.max_file_bytes)
    except OSError as error:
        # `from None`: the operating system's message quotes the path.
        raise CorruptInputError(f"unreadable input: {os.strerror(error.errno or 0)}") from None
    except ValueError:
        raise CorruptInputError("unreadable input: the path holds a NUL character") from None


def _read_file(path: Path, max_bytes: int) -> bytes:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise CorruptInputError("unreadable input: it is a directory; give the files in it")
    if not stat.S_ISREG(status.st_mode):
        raise CorruptInputError("unreadable input: it is not a regular file (a pipe or device would never end)")
    _check_size(status.st_size, max_bytes)
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)  # the file may have grown since it was measured
    _check_size(len(data), max_bytes)
    return data


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ResourceLimitError(
            f"the input has {size} bytes or more; the limit is {max_bytes} (DecodeLimits.max_file_bytes)"
        )
