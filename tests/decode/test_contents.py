"""Files are read where they are asked for, as one state, and never further than their own end."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cxr_edge.decode import DEFAULT_LIMITS, DecodeLimits, decode, read_source
from cxr_edge.decode.contents import BLOCK_BYTES, FileContents, MemoryContents
from cxr_edge.decode.source import open_source
from cxr_edge.errors import CorruptInputError, ResourceLimitError

DicomWriter = Callable[..., bytes]
DATA = bytes(np.random.default_rng(3).integers(0, 256, 9 * BLOCK_BYTES + 77, np.uint8))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def contents(path: Path) -> Iterator[FileContents]:
    with io.FileIO(path) as file:
        yield FileContents(file)


@pytest.mark.parametrize(
    "offset", [0, 1, 100, BLOCK_BYTES - 3, 3 * BLOCK_BYTES, len(DATA) - 5, len(DATA), len(DATA) + 9]
)
@pytest.mark.parametrize("count", [0, 1, 8, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, len(DATA)])
def test_a_file_and_bytes_in_memory_read_alike(contents: FileContents, offset: int, count: int) -> None:
    expected = DATA[offset : offset + count]
    assert contents.read(offset, count) == expected
    assert contents.read(offset, count) == expected, "the second time from the block in memory"
    assert MemoryContents(DATA).read(offset, count) == expected


def test_neighbouring_reads_take_one_read_of_the_file(contents: FileContents, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    fetch = contents._fetched
    monkeypatch.setattr(contents, "_fetched", lambda *span: fetched.append(span) or fetch(*span))
    for position in range(0, 4000, 8):
        assert contents.read(position, 8) == DATA[position : position + 8]
    assert fetched == [(0, 2 * BLOCK_BYTES)]


def test_a_file_that_became_shorter_is_an_error(path: Path, contents: FileContents) -> None:
    os.truncate(path, 100)
    with pytest.raises(CorruptInputError, match="shorter"):
        contents.read_into(50, memoryview(bytearray(200)))
    with pytest.raises(CorruptInputError, match="shorter"):
        contents.read(0, len(DATA))


def test_a_file_that_was_written_to_is_an_error(path: Path, contents: FileContents) -> None:
    contents.check_unchanged()
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(CorruptInputError, match="written to"):
        contents.check_unchanged()


def test_an_error_of_the_device_is_of_the_input_and_names_no_path(path: Path) -> None:
    with io.FileIO(path) as file:
        contents = FileContents(file)
        file.close()
        file = contents._file = _Broken(path)
        with pytest.raises(CorruptInputError, match="Input/output error") as caught:
            contents.read(0, 8)
        file.close()
    assert str(path) not in str(caught.value)


class _Broken(io.FileIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error", "DOE^JANE.dcm")


def test_the_limit_holds_before_anything_is_read(path: Path) -> None:
    limits = DecodeLimits(max_file_bytes=len(DATA) - 1)
    for source in (path, DATA):
        with pytest.raises(ResourceLimitError, match="max_file_bytes"), open_source(source, limits):
            pytest.fail("opened")


def test_a_source_is_read_as_a_whole_and_bytes_are_handed_back(path: Path) -> None:
    assert read_source(path, DEFAULT_LIMITS) == DATA
    assert read_source(DATA, DEFAULT_LIMITS) is DATA


def test_a_picture_that_is_overwritten_while_it_is_read_gives_no_result(
    tmp_path: Path, dicom: DicomWriter, ramp: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(ramp))
    read_into = FileContents.read_into

    def overwritten(self: FileContents, offset: int, buffer: memoryview) -> None:
        read_into(self, offset, buffer)
        path.write_bytes(dicom(ramp[::-1]) + b"\0")

    monkeypatch.setattr(FileContents, "read_into", overwritten)
    with pytest.raises(CorruptInputError, match="written to"):
        decode(path)


def test_a_picture_that_is_cut_short_while_it_is_read_is_an_error_and_no_crash(
    tmp_path: Path, dicom: DicomWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(np.zeros((1000, 1000), np.uint16)))
    read_into = FileContents.read_into

    def cut(self: FileContents, offset: int, buffer: memoryview) -> None:
        os.truncate(path, 100_000)
        read_into(self, offset, buffer)

    monkeypatch.setattr(FileContents, "read_into", cut)
    with pytest.raises(CorruptInputError, match="shorter"):
        decode(path)


def test_a_file_replaced_by_another_while_it_is_read_gives_the_one_that_was_opened(
    tmp_path: Path, dicom: DicomWriter, ramp: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "a.dcm", tmp_path / "b.dcm"
    path.write_bytes(dicom(ramp))
    other.write_bytes(dicom(ramp[::-1]))
    read_into = FileContents.read_into

    def replaced(self: FileContents, offset: int, buffer: memoryview) -> None:
        if other.exists():
            other.replace(path)
        read_into(self, offset, buffer)

    monkeypatch.setattr(FileContents, "read_into", replaced)
    np.testing.assert_array_equal(decode(path).pixels, ramp)
    np.testing.assert_array_equal(decode(path).pixels, ramp[::-1])
