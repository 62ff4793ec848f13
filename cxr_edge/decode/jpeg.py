"""JPEG structure: what the frame header says, and whether the file reaches its end marker.

Decoders fill what is missing from a truncated JPEG with grey and call it a success, so the markers are walked first.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from cxr_edge.errors import CorruptInputError, UnsupportedInputError

__all__ = ["JpegHeader", "inspect_jpeg"]

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
DECODABLE_FRAMES = (0xC0, 0xC1, 0xC2)  # SOF0 baseline, SOF1 extended sequential, SOF2 progressive; all Huffman
OTHER_FRAMES = {
    0xC3: "lossless",
    0xC5: "hierarchical",
    0xC6: "hierarchical",
    0xC7: "hierarchical",
    0xC9: "arithmetic-coded",
    0xCA: "arithmetic-coded",
    0xCB: "arithmetic-coded lossless",
    0xCD: "hierarchical",
    0xCE: "hierarchical",
    0xCF: "hierarchical",
    0xF7: "JPEG-LS",
}
# Within entropy-coded data FF is followed by 00 (a stuffed byte), a restart marker, or another FF (fill).
NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """Size in pixels and number of colour components of a JPEG, and where it ends (bytes up to and with EOI)."""

    width: int
    height: int
    components: int
    end: int


def inspect_jpeg(data: bytes) -> JpegHeader:
    """The header of an 8-bit JPEG that is there from its start to its end marker.

    Raises:
        CorruptInputError: truncated (no EOI marker), or not a sequence of JPEG segments.
        UnsupportedInputError: lossless, hierarchical, arithmetic-coded, or not 8 bits per sample.
    """
    frame: tuple[int, int, int] | None = None
    position = 2
    while True:
        position, marker = _next_marker(data, position)
        if marker == EOI:
            break
        length = _segment_length(data, position)
        if marker in OTHER_FRAMES:
            raise UnsupportedInputError(f"{OTHER_FRAMES[marker]} JPEG is not supported; baseline and progressive are")
        if marker in DECODABLE_FRAMES:
            frame = _read_frame(data, position, length)
        position += length
        if marker == SOS:
            position = _end_of_scan(data, position)
    if frame is None:
        raise CorruptInputError("the JPEG ends without a frame header")
    return JpegHeader(*frame, end=position)


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    """Position after the marker at `position`, and its code."""
    while data[position : position + 2] == b"\xff\xff":  # fill bytes, ISO/IEC 10918-1 B.1.1.2
        position += 1
    if position + 2 > len(data):
        raise _truncated()
    if data[position] != 0xFF:
        raise CorruptInputError(f"the JPEG is damaged: no marker at byte {position}")
    return position + 2, data[position + 1]


def _segment_length(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise _truncated()
    length = int(struct.unpack_from(">H", data, position)[0])
    if length < 2:
        raise CorruptInputError(f"the JPEG is damaged: a segment of {length} bytes at byte {position}")
    if position + length > len(data):
        raise _truncated()
    return length


def _read_frame(data: bytes, position: int, length: int) -> tuple[int, int, int]:
    """Width, height and components of a frame header (SOF)."""
    if length < 8:
        raise CorruptInputError(f"the JPEG's frame header has {length} bytes; it needs 8")
    precision, height, width, components = struct.unpack_from(">BHHB", data, position + 2)
    if precision != 8:
        raise UnsupportedInputError(f"JPEG of {precision} bits per sample is not supported; 8 bits are")
    if width == 0 or height == 0:
        raise CorruptInputError(f"the JPEG's frame header says {width} x {height} pixels")
    return width, height, components


def _end_of_scan(data: bytes, position: int) -> int:
    found = NEXT_MARKER.search(data, position)
    if found is None:
        raise _truncated()
    return found.start()


def _truncated() -> CorruptInputError:
    return CorruptInputError("the JPEG is truncated: it has no end marker (EOI)")
