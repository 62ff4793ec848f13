"""The DICOM file header (PS3.10 7.1), and the bounded inflation of deflated data sets."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from cxr_edge.decode.contents import Contents
from cxr_edge.decode.dicom_elements import LONG_VRS
from cxr_edge.errors import CorruptInputError, ResourceLimitError

__all__ = ["FileHeader", "inflate", "read_file_header"]

META_START = 132  # 128 bytes of preamble, "DICM"
META_GROUP = 0x0002
TRANSFER_SYNTAX_UID = 0x00020010
MAX_META_ELEMENTS = 256  # the standard defines about 20
RAW_DEFLATE = -zlib.MAX_WBITS  # RFC 1951 without a zlib header
INPUT_SLICE = 64 * 2**10
MAX_PIECE = 2**20
UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class FileHeader:
    """Transfer syntax UID of a DICOM file, and the byte at which its data set begins."""

    transfer_syntax: str
    dataset_offset: int


def read_file_header(contents: Contents) -> FileHeader:
    """The file meta information of a DICOM file; it is Explicit VR Little Endian whatever follows.

    Raises:
        CorruptInputError: truncated, malformed, or without a transfer syntax.
    """
    transfer_syntax = ""
    position = META_START
    for tag, start, position in _meta_elements(contents):
        if tag == TRANSFER_SYNTAX_UID:
            transfer_syntax = contents.read(start, position - start).decode("ascii", "replace").rstrip("\0 ")
    if not UID.fullmatch(transfer_syntax):
        raise CorruptInputError("the DICOM file header has no valid TransferSyntaxUID (0002,0010)")
    return FileHeader(transfer_syntax, position)


def _meta_elements(contents: Contents) -> Iterator[tuple[int, int, int]]:
    """Tag, and where the value begins and ends, of each element of group 0002."""
    position = META_START
    for _ in range(MAX_META_ELEMENTS):
        prefix = contents.read(position, 8)
        if len(prefix) < 8 or struct.unpack_from("<H", prefix)[0] != META_GROUP:
            return
        group, element, vr, length = struct.unpack("<HH2sH", prefix)
        start = position + 8
        if vr in LONG_VRS:
            if start + 4 > contents.size:
                raise CorruptInputError("the DICOM file is truncated within its header")
            length = struct.unpack("<I", contents.read(start, 4))[0]
            start += 4
        position = start + length
        if position > contents.size:
            raise CorruptInputError("the DICOM file is truncated within its header")
        yield group << 16 | element, start, position
    raise CorruptInputError(f"the DICOM file header has more than {MAX_META_ELEMENTS} elements")


def inflate(deflated: bytes, max_bytes: int) -> bytes:
    """The data set that a Deflated Explicit VR Little Endian file holds (PS3.5 A.5).

    The stream is inflated once into nothing to learn its size, so a bomb never takes memory; the syntax is rare enough
    for the time not to matter.

    Raises:
        ResourceLimitError: it inflates to more than `max_bytes`.
        CorruptInputError: the deflated stream is damaged or truncated.
    """
    try:
        size = 0
        for piece in _inflated_pieces(deflated):
            size += piece
            if size > max_bytes:
                raise ResourceLimitError(
                    f"the deflated DICOM data set inflates to more than {max_bytes} bytes (DecodeLimits.max_file_bytes)"
                )
        return zlib.decompressobj(RAW_DEFLATE).decompress(deflated)
    except zlib.error:
        raise CorruptInputError("the deflated DICOM data set is damaged") from None


def _inflated_pieces(deflated: bytes) -> Iterator[int]:
    """Sizes of the pieces, at most 1 MiB each, that the stream inflates to."""
    inflater = zlib.decompressobj(RAW_DEFLATE)
    # Fed in slices because what is not yet consumed is copied with every piece.
    for start in range(0, len(deflated), INPUT_SLICE):
        pending = deflated[start : start + INPUT_SLICE]
        while pending and not inflater.eof:
            yield len(inflater.decompress(pending, MAX_PIECE))
            pending = inflater.unconsumed_tail
    while not inflater.eof:
        piece = inflater.decompress(b"", MAX_PIECE)
        if not piece:
            raise CorruptInputError("the deflated DICOM data set is truncated")
        yield len(piece)
