"""Getting at the input's bytes. Paths never appear in messages: file names of radiographs often hold patient names."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr_edge.decode.contents import Contents, FileContents, MemoryContents
from cxr_edge.decode.limits import DecodeLimits
from cxr_edge.errors import CorruptInputError, ResourceLimitError

__all__ = ["open_source", "read_all", "read_source"]


@contextmanager
def open_source(source: str | os.PathLike[str] | bytes, limits: DecodeLimits) -> Iterator[Contents]:
    """The input's contents, of which nothing is read yet; a file is open for the length of the ``with`` block.

    Args:
        source: a path, or the contents themselves.
        limits: gives the largest size that is read.

    Raises:
        CorruptInputError: the file is missing, a directory, a device or not readable.
        ResourceLimitError: more than `limits.max_file_bytes`.
    """
    if isinstance(source, bytes):
        _check_size(len(source), limits.max_file_bytes)
        yield MemoryContents(source)
        return
    with _opened(source) as file:
        contents = FileContents(file)
        _check_size(contents.size, limits.max_file_bytes)
        yield contents


def read_source(source: str | os.PathLike[str] | bytes, limits: DecodeLimits) -> bytes:
    """The input's contents as a whole; a file's are one state of it.

    Args:
        source: a path, or the contents themselves.
        limits: gives the largest size that is read.

    Raises:
        CorruptInputError: as `open_source`, or the file was written to meanwhile.
        ResourceLimitError: more than `limits.max_file_bytes`.
    """
    with open_source(source, limits) as contents:
        return source if isinstance(source, bytes) else read_all(contents)


def read_all(contents: Contents) -> bytes:
    """Every byte of the contents, as one state of the file that they may come from.

    Raises:
        CorruptInputError: the file was written to, or cannot be read.
    """
    data = contents.read(0, contents.size)
    contents.check_unchanged()
    return data


def _opened(path: str | os.PathLike[str]) -> io.FileIO:
    try:
        # Asked before it is opened: opening a pipe would wait for a writer.
        _require_regular(Path(path).stat())
        return io.FileIO(path)
    except OSError as error:
        # `from None`: the operating system's message quotes the path.
        raise CorruptInputError(f"unreadable input: {os.strerror(error.errno or 0)}") from None
    except ValueError:
        raise CorruptInputError("unreadable input: the path holds a NUL character") from None


def _require_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise CorruptInputError("unreadable input: it is a directory; give the files in it")
    if not stat.S_ISREG(status.st_mode):
        raise CorruptInputError("unreadable input: it is not a regular file (a pipe or device would never end)")


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ResourceLimitError(
            f"the input has {size} bytes or more; the limit is {max_bytes} (DecodeLimits.max_file_bytes)"
        )
