"""Which format a file is, by its first bytes. The extension is never asked: a PNG named .dcm is a PNG."""

from __future__ import annotations

from typing import Literal

from cxr_edge.errors import CorruptInputError, UnsupportedInputError

__all__ = ["SNIFFED_BYTES", "InputFormat", "sniff"]

InputFormat = Literal["dicom", "jpeg", "png"]

DICOM_PREFIX = slice(128, 132)  # PS3.10 7.1: 128 bytes of preamble, then "DICM"
SNIFFED_BYTES = 132
"""How much of a file's beginning `sniff` looks at."""

KNOWN_BUT_UNSUPPORTED: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"\xff\x4f\xff\x51", "JPEG 2000 codestream"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"P5", "PGM"),
    (b"P6", "PPM"),
    (b"\x93NUMPY", "NumPy array"),
    (b"8BPS", "Photoshop"),
)


def sniff(data: bytes) -> InputFormat:
    """The format that the contents claim by their magic bytes.

    Raises:
        CorruptInputError: no bytes at all, or nothing that is recognised as an image.
        UnsupportedInputError: a recognised format other than PNG, JPEG and DICOM.
    """
    if not data:
        raise CorruptInputError("the input is empty (0 bytes)")
    # DICOM first: its preamble is free for other formats' magic bytes (dual-personality files, PS3.10 7.1).
    if data[DICOM_PREFIX] == b"DICM":
        return "dicom"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    other = _other_format(data)
    if other is not None:
        raise UnsupportedInputError(f"{other} is not supported; convert it to PNG, JPEG or DICOM")
    if _looks_like_bare_dataset(data):
        raise CorruptInputError(
            "this looks like a DICOM data set without the file header of PS3.10 (preamble, DICM, group 0002), so its "
            "transfer syntax is unknown; write it as a DICOM file, for example with dcmconv of DCMTK"
        )
    raise CorruptInputError("the contents are neither PNG, JPEG nor DICOM, whatever the file's name says")


def _other_format(data: bytes) -> str | None:
    for magic, name in KNOWN_BUT_UNSUPPORTED:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return "HEIF, AVIF or MP4"
    if data[:2] == b"BM" and data[6:10] == b"\0\0\0\0":  # two letters alone could begin a text
        return "BMP"
    return None


def _looks_like_bare_dataset(data: bytes) -> bool:
    """True when the first element is of group 0002 or 0008, in either byte order, with a small element number."""
    return data[:2] in (b"\x02\0", b"\x08\0") and data[3:4] in (b"\0", b"\1") or data[:3] == b"\0\x08\0"
