"""An input's bytes, reached by position: a file is read where it is asked for and no further.

Pixels are read from the file, not mapped. A mapping would save the one copy out of the page cache (2 ms of 18 MB on
the machine of docs/performance.md, next to 0.1 ms), but whoever cuts the file short, pulls the memory card or loses the
network share while anybody still holds the pixels, and results hold them, stops the whole process with SIGBUS. A read
that falls short is an error of this one input. Bytes that are in memory already are never copied.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from cxr_edge.errors import CorruptInputError

__all__ = ["Contents", "FileContents", "MemoryContents"]

BLOCK_BYTES = 8 * 2**10
"""Reads of a header fetch two such blocks: most headers as a whole; a hostile one that jumps about costs little."""


class Contents(Protocol):
    """Bytes at positions 0 to `size`."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read(self, offset: int, count: int) -> bytes:
        """The bytes from `offset` on, `count` of them or as many as there are.

        Raises:
            CorruptInputError: the file changed or cannot be read.
        """

    def view(self, offset: int, count: int) -> memoryview | None:
        """The bytes themselves, read-only and without a copy; None where they are not in memory."""

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the buffer with the bytes from `offset` on, all of which must be there.

        Raises:
            CorruptInputError: the file changed or cannot be read.
        """

    def check_unchanged(self) -> None:
        """Nothing, where all that was read belongs together.

        Raises:
            CorruptInputError: the file was written to since it was opened.
        """


class MemoryContents:
    """Contents that the caller holds."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data).toreadonly()

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self._data)

    def read(self, offset: int, count: int) -> bytes:
        """The bytes from `offset` on, `count` of them or as many as there are."""
        return bytes(self._data[offset : offset + count])

    def view(self, offset: int, count: int) -> memoryview:
        """The bytes themselves, read-only and without a copy."""
        return self._data[offset : offset + count]

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the buffer with the bytes from `offset` on."""
        buffer[:] = self._data[offset : offset + len(buffer)]

    def check_unchanged(self) -> None:
        """Nothing: bytes do not change."""


class FileContents:
    """Contents of an open regular file, of the size that it had when it was opened.

    Args:
        file: open for reading, unbuffered; stays the caller's to close.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._opened = _stamp(file)
        self._blocks = b""
        self._start = 0

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self._opened[0]

    def read(self, offset: int, count: int) -> bytes:
        """The bytes from `offset` on, `count` of them or as many as there are; neighbours come from memory.

        Raises:
            CorruptInputError: the file became shorter or cannot be read.
        """
        available = max(min(count, self.size - offset), 0)
        if available > BLOCK_BYTES or not available:
            return self._fetched(offset, available)
        if not self._start <= offset <= offset + available <= self._start + len(self._blocks):
            start = offset - offset % BLOCK_BYTES
            self._blocks = self._fetched(start, min(2 * BLOCK_BYTES, self.size - start))
            self._start = start
        return self._blocks[offset - self._start : offset - self._start + available]

    def view(self, offset: int, count: int) -> None:
        """None: a file's bytes are not in this process's memory."""

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the buffer with the bytes from `offset` on, straight from the page cache.

        Raises:
            CorruptInputError: the file became shorter or cannot be read.
        """
        filled = 0
        with _read_errors():
            self._file.seek(offset)
            while filled < len(buffer):
                filled += self._some(self._file.readinto(buffer[filled:]))

    def check_unchanged(self) -> None:
        """Nothing, where all that was read belongs together.

        Raises:
            CorruptInputError: the file was written to since it was opened.
        """
        if _stamp(self._file) != self._opened:
            raise CorruptInputError("the file was written to while it was read; try again when it is complete")

    def _fetched(self, offset: int, count: int) -> bytes:
        with _read_errors():
            self._file.seek(offset)
            data = self._file.read(count)
            while len(data) < count:  # the system may give less than was asked for
                more = self._file.read(count - len(data))
                self._some(len(more))
                data += more
            return data

    def _some(self, count: int) -> int:
        if not count:
            raise CorruptInputError("the file became shorter while it was read")
        return count


@contextmanager
def _read_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # `from None`: the operating system's message may quote the path
        raise CorruptInputError(f"unreadable input: {os.strerror(error.errno or 0)}") from None


def _stamp(file: io.FileIO) -> tuple[int, int]:
    """Size and time of the last change, which every write moves on."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns
