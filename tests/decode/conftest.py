"""Small image files of every kind, built in memory."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.datadict import dictionary_VR, tag_for_keyword

EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
LONG_VRS = ("OB", "OF", "OW", "SQ", "UN", "UT")
DicomWriter = Callable[..., bytes]


def element(tag: int, vr: str, value: bytes, syntax: str = EXPLICIT_LE, length: int | None = None) -> bytes:
    """One encoded data element. Written by hand, because pydicom's writer rightly refuses most of what tests need."""
    order = ">" if syntax == EXPLICIT_BE else "<"
    value += b"\0" if len(value) % 2 else b""
    size = len(value) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT_LE:
        return head + struct.pack("<I", size) + value
    if vr in LONG_VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(f"{order}I", size) + value
    return head + vr.encode() + struct.pack(f"{order}H", size) + value


def file_header(transfer_syntax: str) -> bytes:
    uid = transfer_syntax.encode() + b"\0" * (len(transfer_syntax) % 2)
    meta = element(0x00020010, "UI", uid)
    return b"\0" * 128 + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta


def encoded_value(value: Any, vr: str, syntax: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode() + b" " * (len(value) % 2)
    kind = "h" if vr == "SS" or value < 0 else "H"
    return struct.pack((">" if syntax == EXPLICIT_BE else "<") + kind, value)


def dicom_body(attributes: Mapping[str, Any], syntax: str, extra: Mapping[int, bytes]) -> bytes:
    encoded = dict(extra)
    for keyword, value in attributes.items():
        tag = int(tag_for_keyword(keyword) or 0)
        vr = dictionary_VR(tag).split(" ")[0]
        vr = "OW" if keyword == "PixelData" else vr
        fragments = keyword == "PixelData" and value[:4] == b"\xfe\xff\x00\xe0"
        encoded[tag] = element(
            tag, vr, encoded_value(value, vr, syntax), syntax, length=0xFFFFFFFF if fragments else None
        )
    return b"".join(encoded[tag] for tag in sorted(encoded))


@pytest.fixture
def dicom() -> DicomWriter:
    """Writes a DICOM file: ``dicom(pixels, BitsStored=12, WindowCenter=..., PixelData=..., Rows=None)``.

    None leaves an attribute out; ``extra`` maps tags to encoded elements.
    """

    def write(
        pixels: NDArray[Any],
        *,
        transfer_syntax: str = EXPLICIT_LE,
        extra: Mapping[int, bytes] | None = None,
        **attributes: Any,
    ) -> bytes:
        bits = 8 * pixels.dtype.itemsize
        order = ">" if transfer_syntax == EXPLICIT_BE else "<"
        stored = int(attributes.get("BitsStored") or bits)
        described: dict[str, Any] = {
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": pixels.shape[0],
            "Columns": pixels.shape[1],
            "BitsAllocated": bits,
            "BitsStored": stored,
            "HighBit": stored - 1,
            "PixelRepresentation": int(pixels.dtype.kind == "i"),
            "PixelData": pixels.astype(pixels.dtype.newbyteorder(order)).tobytes(),
        } | attributes
        present = {keyword: value for keyword, value in described.items() if value is not None}
        return file_header(transfer_syntax) + dicom_body(present, transfer_syntax, extra or {})

    return write


@pytest.fixture
def ramp() -> NDArray[np.uint16]:
    """A 24 x 32 picture of 12-bit values, all different, [0, 4091]."""
    return (np.arange(24 * 32, dtype=np.uint16) * 16 // 3).reshape(24, 32)


@pytest.fixture
def grey() -> NDArray[np.uint8]:
    """A 40 x 30 picture of 8-bit values that is not symmetric in any way."""
    rows, columns = np.mgrid[0:40, 0:30]
    return (rows * 5 + columns).astype(np.uint8)


@pytest.fixture
def saved() -> Callable[..., bytes]:
    """A picture as Pillow saves it: ``saved(array or image, "PNG", **options)``."""

    def save(picture: NDArray[Any] | Image.Image, file_format: str, **options: Any) -> bytes:
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        buffer = BytesIO()
        image.save(buffer, file_format, **options)
        return buffer.getvalue()

    return save
