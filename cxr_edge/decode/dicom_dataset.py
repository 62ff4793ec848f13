"""The few DICOM attributes that pixels need, as typed values. Everything else in the file is never interpreted."""

from __future__ import annotations

import math
import re
from typing import Literal

from cxr_edge.decode.contents import Contents
from cxr_edge.decode.dicom_elements import Element, ElementReader
from cxr_edge.decode.transfer_syntax import TransferSyntax
from cxr_edge.errors import CorruptInputError, ResourceLimitError

__all__ = ["TAGS", "DicomDataset", "read_dataset", "tag_name"]

TAGS = {
    "PresentationIntentType": 0x00080068,
    "SamplesPerPixel": 0x00280002,
    "PhotometricInterpretation": 0x00280004,
    "NumberOfFrames": 0x00280008,
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "HighBit": 0x00280102,
    "PixelRepresentation": 0x00280103,
    "PixelPaddingValue": 0x00280120,
    "PixelPaddingRangeLimit": 0x00280121,
    "WindowCenter": 0x00281050,
    "WindowWidth": 0x00281051,
    "RescaleIntercept": 0x00281052,
    "RescaleSlope": 0x00281053,
    "VOILUTFunction": 0x00281056,
    "ModalityLUTSequence": 0x00283000,
    "VOILUTSequence": 0x00283010,
    "PresentationLUTShape": 0x20500020,
    "FloatPixelData": 0x7FE00008,
    "DoubleFloatPixelData": 0x7FE00009,
    "PixelData": 0x7FE00010,
}
"""The attributes that are read, by keyword (PS3.6)."""

WANTED = frozenset(TAGS.values())
MAX_TEXT_BYTES = 2**16
"""Longest text or number that is read; a window of 16 characters a value has room for thousands of values."""

DECIMAL_STRING = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?")  # PS3.5 6.2, VR DS and IS


def tag_name(keyword: str) -> str:
    """The keyword with its tag, as in ``Rows (0028,0010)``."""
    tag = TAGS[keyword]
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


class DicomDataset:
    """Attribute values of one data set, read as types on request. Errors name the attribute, never its value."""

    def __init__(self, contents: Contents, elements: dict[int, Element], *, little_endian: bool) -> None:
        self.contents = contents
        self._elements = elements
        self._byteorder: Literal["little", "big"] = "little" if little_endian else "big"

    def __contains__(self, keyword: str) -> bool:
        """True when the attribute is there with a value; an empty one counts as absent (PS3.5 7.4.5)."""
        element = self._elements.get(TAGS[keyword])
        return element is not None and element.length > 0

    def pixel_data(self) -> Element:
        """Where PixelData lies; that it is there, `describe_image` has made sure of."""
        return self._elements[TAGS["PixelData"]]

    def raw(self, keyword: str) -> bytes:
        """The value's bytes; empty when absent.

        Raises:
            CorruptInputError: a sequence, or longer than any value that is read here.
        """
        if keyword not in self:
            return b""
        element = self._elements[TAGS[keyword]]
        if element.is_sequence:
            raise CorruptInputError(f"DICOM {tag_name(keyword)} is a sequence where a value belongs")
        if element.length > MAX_TEXT_BYTES:
            raise CorruptInputError(f"DICOM {tag_name(keyword)} has {element.length} bytes; no such value is that long")
        return self.contents.read(element.offset, element.length)

    def unsigned_short(self, keyword: str) -> int:
        """A required 16-bit number.

        Raises:
            CorruptInputError: missing, or of another length.
        """
        value = self.raw(keyword)
        if not value:
            raise CorruptInputError(f"DICOM {tag_name(keyword)} is missing; pixels cannot be read without it")
        if len(value) != 2:
            raise CorruptInputError(f"DICOM {tag_name(keyword)} has {len(value)} bytes; it is one 16-bit number")
        return int.from_bytes(value, self._byteorder)

    def optional_short(self, keyword: str) -> int | None:
        """A 16-bit number as unsigned, or None when absent."""
        return self.unsigned_short(keyword) if keyword in self else None

    def strings(self, keyword: str) -> tuple[str, ...]:
        """The values of a text attribute without their padding; empty when absent."""
        text = self.raw(keyword).decode("ascii", "replace").rstrip("\0")
        return tuple(value.strip() for value in text.split("\\")) if text.strip() else ()

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """The values of a numeric text attribute (DS, IS); empty when absent.

        Raises:
            CorruptInputError: one of them is no finite decimal number.
        """
        values = []
        for text in self.strings(keyword):
            number = float(text) if DECIMAL_STRING.fullmatch(text) else math.nan
            if not math.isfinite(number):
                raise CorruptInputError(f"DICOM {tag_name(keyword)} is not a finite decimal number")
            values.append(number)
        return tuple(values)


def read_dataset(contents: Contents, start: int, syntax: TransferSyntax) -> DicomDataset:
    """The attributes of `TAGS` in a data set; of one that is there twice, the last.

    Args:
        contents: what holds the data set, inflated where it was deflated, up to its last byte.
        start: where it begins.
        syntax: how it is encoded.

    Raises:
        CorruptInputError: malformed, truncated, or sequences nested without end.
        ResourceLimitError: a header of absurd length.
    """
    try:
        elements = {element.tag: element for element in ElementReader(contents, start, syntax) if element.tag in WANTED}
    except RecursionError:  # the caller's own stack was nearly full
        raise CorruptInputError("the DICOM header nests sequences too deeply") from None
    except MemoryError:
        raise ResourceLimitError("the DICOM header needs more memory than there is") from None
    return DicomDataset(contents, elements, little_endian=syntax.little_endian)
