"""Uncompressed pixels: what is copied, what is read, and that a file and its bytes give the same numbers."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxr_edge.decode import decode
from cxr_edge.decode.contents import BLOCK_BYTES, FileContents
from cxr_edge.decode.native_pixels import STRIP_BYTES

DicomWriter = Callable[..., bytes]
IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
LARGE = np.random.default_rng(5).integers(0, 4096, (700, 901)).astype(np.uint16)  # several strips, the last one short
assert LARGE.nbytes > 2 * STRIP_BYTES


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT_LE, EXPLICIT_LE])
@pytest.mark.parametrize(
    ("bits", "dtype"), [(8, np.uint8), (8, np.int8), (16, np.uint16), (12, np.uint16), (16, np.int16)]
)
def test_pixels_of_bytes_in_memory_are_those_bytes(
    transfer_syntax: str, bits: int, dtype: type, dicom: DicomWriter
) -> None:
    content = dicom(LARGE.astype(dtype), transfer_syntax=transfer_syntax, BitsStored=bits)
    tracemalloc.start()
    try:
        pixels = decode(content).pixels
        grown = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.shares_memory(pixels, np.frombuffer(content, np.uint8))
    assert not pixels.flags.writeable
    assert grown < 200_000
    np.testing.assert_array_equal(pixels, LARGE.astype(dtype))


def test_junk_in_bytes_in_memory_is_cleared_in_a_copy(dicom: DicomWriter) -> None:
    content = dicom(LARGE | 0x8000, BitsStored=12)
    before = bytes(bytearray(content))
    np.testing.assert_array_equal(decode(content).pixels, LARGE)
    assert content == before


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("stored", "high"), [(16, 15), (12, 11), (12, 13), (10, 15)])
def test_a_file_and_its_bytes_give_the_same_pixels(
    transfer_syntax: str, signed: bool, stored: int, high: int, dicom: DicomWriter, tmp_path: Path
) -> None:
    cells = np.random.default_rng(stored).integers(0, 65_536, LARGE.shape).astype(np.uint16)
    content = dicom(
        cells, transfer_syntax=transfer_syntax, BitsStored=stored, HighBit=high, PixelRepresentation=int(signed)
    )
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    from_file, from_bytes = decode(path).pixels, decode(content).pixels
    assert from_file.dtype == from_bytes.dtype == (np.int16 if signed else np.uint16)
    np.testing.assert_array_equal(from_file, from_bytes)
    sample = cells.astype(np.int64) >> (high + 1 - stored) & ((1 << stored) - 1)
    np.testing.assert_array_equal(from_file, sample - ((sample >> (stored - 1)) << stored) if signed else sample)


def test_a_file_takes_the_memory_of_its_pixels_once(dicom: DicomWriter, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(LARGE | 0x4000, BitsStored=12))
    tracemalloc.start()
    try:
        pixels = decode(path).pixels
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < pixels.nbytes + 200_000


def test_only_the_header_and_the_chosen_frame_are_read(
    dicom: DicomWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.stack([LARGE, LARGE[::-1], LARGE + 1])
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(LARGE, NumberOfFrames="3", PixelData=frames.tobytes()))
    spans: list[tuple[int, int]] = []
    read_into, fetched = FileContents.read_into, FileContents._fetched

    def noted_into(self: FileContents, offset: int, buffer: memoryview) -> None:
        spans.append((offset, len(buffer)))
        read_into(self, offset, buffer)

    def noted_fetch(self: FileContents, offset: int, count: int) -> bytes:
        spans.append((offset, count))
        return fetched(self, offset, count)

    monkeypatch.setattr(FileContents, "read_into", noted_into)
    monkeypatch.setattr(FileContents, "_fetched", noted_fetch)
    np.testing.assert_array_equal(decode(path, frame=1).pixels, LARGE[::-1])
    assert sum(count for _, count in spans) <= LARGE.nbytes + 2 * BLOCK_BYTES
    start = path.stat().st_size - 2 * LARGE.nbytes
    assert min(offset for offset, _ in spans[1:]) >= start - BLOCK_BYTES


def test_an_uncompressed_file_is_decoded_without_pydicom_and_codecs(dicom: DicomWriter, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom(LARGE))
    program = (
        "import sys\nfrom cxr_edge.decode import decode\n"
        "assert decode(sys.argv[1]).pixels.shape == (700, 901)\n"
        "assert not {'pydicom', 'PIL', 'subprocess'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


@pytest.mark.real_data
def test_real_files_and_their_bytes_give_the_same_pixels(dicom_folder: Path) -> None:
    for number in ("03", "06", "07", "24"):
        path = next(dicom_folder.glob(f"{number}_*.dcm"))
        np.testing.assert_array_equal(decode(path).pixels, decode(path.read_bytes()).pixels)
