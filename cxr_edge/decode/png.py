"""PNG structure: what the header says, and whether the file is whole. Pixels are decoded elsewhere (raster.py)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from cxr_edge.errors import CorruptInputError, UnsupportedInputError

__all__ = ["PngHeader", "inspect_png", "require_all_rows"]

MAX_PIECE = 2**20

GREY = 0
"""IHDR colour type of plain grey samples (ISO/IEC 15948, table 11.1)."""

SAMPLES_PER_PIXEL = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, column step and row step of each interlacing pass (ISO/IEC 15948, 8.2)."""


@dataclass(frozen=True, slots=True)
class PngHeader:
    """Size in pixels, bits per sample (1-16), colour type and interlacing of a PNG, from its IHDR chunk."""

    width: int
    height: int
    bit_depth: int
    colour_type: int
    interlaced: bool

    @property
    def data_bytes(self) -> int:
        """Size of the inflated image data: each row is a filter byte and its packed samples."""
        bits = self.bit_depth * SAMPLES_PER_PIXEL.get(self.colour_type, 1)
        passes = ADAM7_PASSES if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for left, top, step_x, step_y in passes:
            columns, rows = -(-(self.width - left) // step_x), -(-(self.height - top) // step_y)
            if columns > 0:
                total += max(rows, 0) * (1 + (columns * bits + 7) // 8)
        return total


def inspect_png(data: bytes) -> PngHeader:
    """The header of a PNG whose chunks are all there, from IHDR to IEND, and whose critical chunks' CRCs hold.

    Raises:
        CorruptInputError: truncated, damaged, or without image data.
        UnsupportedInputError: animated, or more than 8 bits per sample in anything but plain grey.
    """
    header: PngHeader | None = None
    has_data = False
    for name, body in _chunks(data):
        if header is None:
            header = _read_ihdr(name, body)
        elif name == b"acTL":
            raise UnsupportedInputError("an animated PNG is not supported; give one still image")
        has_data = has_data or name == b"IDAT"
    if header is None or not has_data:
        raise CorruptInputError("the PNG holds no image data")
    if header.bit_depth == 16 and header.colour_type != GREY:
        raise UnsupportedInputError(
            f"a PNG of 16 bits per sample must be plain grey (colour type 0); this has colour type {header.colour_type}"
        )
    return header


def require_all_rows(data: bytes, header: PngHeader) -> None:
    """Nothing; image data that inflates to all the rows of the header passes.

    Decoders leave rows black for which a well-formed stream holds no data. Inflating everything again costs as much as
    decoding, so this is asked only of pictures whose last row is black.

    Raises:
        CorruptInputError: less data than rows.
    """
    inflater = zlib.decompressobj()
    missing = header.data_bytes
    for name, body in _chunks(data):
        pending = bytes(body) if name == b"IDAT" else b""
        while pending and missing > 0 and not inflater.eof:
            missing -= len(inflater.decompress(pending, min(missing, MAX_PIECE)))
            pending = inflater.unconsumed_tail
    if missing > 0:
        raise CorruptInputError(f"the PNG is truncated: {missing} bytes of its image data are missing")


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Name and body of each chunk up to and including IEND; what follows IEND is ignored, as decoders do."""
    view = memoryview(data)
    position = 8
    name = b""
    while name != b"IEND":
        if position + 12 > len(data):
            raise CorruptInputError(f"the PNG is truncated: it ends after {len(data)} bytes, before its IEND chunk")
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise CorruptInputError(f"the PNG is truncated: {end + 4 - len(data)} bytes are missing from a chunk")
        body = view[position + 8 : end]
        is_critical = not name[0] & 0x20
        if is_critical and zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise CorruptInputError("the PNG is damaged: a chunk does not match its checksum")
        yield name, body
        position = end + 4


def _read_ihdr(name: bytes, body: memoryview) -> PngHeader:
    if name != b"IHDR" or len(body) != 13:
        raise CorruptInputError("the PNG does not begin with its header chunk (IHDR)")
    width, height, bit_depth, colour_type, _, _, interlace = struct.unpack(">IIBBBBB", body)
    if width == 0 or height == 0:
        raise CorruptInputError(f"the PNG's header says {width} x {height} pixels")
    return PngHeader(width, height, bit_depth, colour_type, interlace == 1)
