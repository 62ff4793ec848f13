"""DICOM RLE (PS3.5 Annex G). Runs in the codec process (see isolation.py).

pydicom's decoder inflates a whole segment before it looks at the size, which a 14 MB file can stretch to 1.9 GB; this
one stops at the number of pixels that the header promised.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import CorruptInputError

__all__ = ["decode_rle"]

HEADER_BYTES = 64
MAX_SEGMENTS = 15
NO_OPERATION = 128


def decode_rle(data: bytes, rows: int, columns: int, bits_allocated: int) -> NDArray[Any]:
    """Stored cells of one grey frame, ``[rows, columns]`` uint8 or uint16, unused high bits included.

    Raises:
        CorruptInputError: another number of segments than the bit depth needs, or too few bytes in one.
    """
    planes = [_unpack(segment, rows * columns) for segment in _segments(data, bits_allocated // 8)]
    if len(planes) == 1:
        return planes[0].reshape(rows, columns)
    high, low = planes  # most significant byte first, PS3.5 G.2
    return ((high.astype(np.uint16) << 8) | low).reshape(rows, columns)


def _segments(data: bytes, expected: int) -> list[bytes]:
    if len(data) < HEADER_BYTES:
        raise CorruptInputError(f"the RLE frame has {len(data)} bytes; its header alone has {HEADER_BYTES}")
    count = int(struct.unpack_from("<I", data)[0])
    if count != expected:
        raise CorruptInputError(f"the RLE frame has {count} segments; BitsAllocated (0028,0100) calls for {expected}")
    offsets = [*struct.unpack_from(f"<{count}I", data, 4), len(data)]
    if offsets[0] != HEADER_BYTES or any(a >= b for a, b in zip(offsets, offsets[1:], strict=False)):
        raise CorruptInputError("the RLE frame's segment offsets do not ascend within the frame")
    return [data[a:b] for a, b in zip(offsets, offsets[1:], strict=False)]


def _unpack(segment: bytes, size: int) -> NDArray[np.uint8]:
    """The first `size` bytes that a PackBits segment stands for (PS3.5 G.3.2)."""
    out = bytearray()
    position, end = 0, len(segment)
    while len(out) < size and position < end:
        control = segment[position]
        position += 1
        if control < NO_OPERATION:
            out += segment[position : position + control + 1]
            position += control + 1
        elif control > NO_OPERATION:
            out += segment[position : position + 1] * (257 - control)
            position += 1
    if len(out) < size:
        raise CorruptInputError(f"the RLE frame is truncated: a segment holds {len(out)} of {size} bytes")
    return np.frombuffer(out, np.uint8, size)
