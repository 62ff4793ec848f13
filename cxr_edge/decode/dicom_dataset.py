"""The few DICOM attributes that pixels need, as typed values. Everything else in the file is never interpreted.

pydicom's reader splits the data set into raw elements, and values are read from their bytes here: pydicom's own
conversion warns and logs with the values that it doubts, which may be a patient's.
"""

from __future__ import annotations

import math
import re
from io import BytesIO
from typing import Any, Literal

from pydicom.datadict import tag_for_keyword
from pydicom.filereader import data_element_generator

from cxr_edge.decode.transfer_syntax import TransferSyntax
from cxr_edge.errors import CorruptInputError, CxrEdgeError, ResourceLimitError

__all__ = ["DicomDataset", "read_dataset", "tag_name"]

KEYWORDS = (
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "DoubleFloatPixelData",
    "FloatPixelData",
    "HighBit",
    "ModalityLUTSequence",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelData",
    "PixelPaddingRangeLimit",
    "PixelPaddingValue",
    "PixelRepresentation",
    "PresentationIntentType",
    "PresentationLUTShape",
    "RescaleIntercept",
    "RescaleSlope",
    "Rows",
    "SamplesPerPixel",
    "VOILUTFunction",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
)
TAGS = {keyword: int(tag_for_keyword(keyword) or 0) for keyword in KEYWORDS}
CHARACTER_SET = 0x00080005
PIXEL_DATA = TAGS["PixelData"]
ELEMENT_HEADER_BYTES = 8  # of SpecificCharacterSet, a CS, in every transfer syntax
MAX_READS = 200_000
"""Reads of a header before it counts as a bomb; ordinary files take some hundred."""

DECIMAL_STRING = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?")  # PS3.5 6.2, VR DS and IS


def tag_name(keyword: str) -> str:
    """The keyword with its tag, as in ``Rows (0028,0010)``."""
    tag = TAGS[keyword]
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


class DicomDataset:
    """Raw attribute values of one data set, read as types on request. Errors name the attribute, never its value."""

    def __init__(self, elements: dict[int, Any], *, little_endian: bool) -> None:
        self._elements = elements
        self._byteorder: Literal["little", "big"] = "little" if little_endian else "big"

    def __contains__(self, keyword: str) -> bool:
        """True when the attribute is there with a value; an empty one counts as absent (PS3.5 7.4.5)."""
        element = self._elements.get(TAGS[keyword])
        return element is not None and bool(element.value)

    def raw(self, keyword: str) -> bytes:
        """The value's bytes; empty when absent."""
        if keyword not in self:
            return b""
        value = self._elements[TAGS[keyword]].value
        if not isinstance(value, bytes):
            raise CorruptInputError(f"DICOM {tag_name(keyword)} is a sequence where a value belongs")
        return value

    def vr(self, keyword: str) -> str | None:
        """The value representation written in the file, or None under Implicit VR."""
        return str(self._elements[TAGS[keyword]].VR) if keyword in self and self._elements[TAGS[keyword]].VR else None

    def is_encapsulated(self) -> bool:
        """True when the pixel data is a sequence of fragments, which undefined length tells (PS3.5 A.4)."""
        return "PixelData" in self and self._elements[PIXEL_DATA].length == 0xFFFFFFFF

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


class _MeteredBytes(BytesIO):
    """Bytes that can be read so many times and no more: bounds the time that millions of tiny elements could take."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads_left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads_left -= 1
        if self._reads_left < 0:
            raise ResourceLimitError(f"the DICOM header takes more than {MAX_READS} reads; no radiograph's does")
        return super().read(size)


class _StopAt:
    """Ends pydicom's reading before SpecificCharacterSet, whose unknown values it would print, and after the pixels."""

    def __init__(self) -> None:
        self.character_set_bytes: int | None = None

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        if tag == CHARACTER_SET and length != 0xFFFFFFFF:
            self.character_set_bytes = length
            return True
        return tag > PIXEL_DATA


def read_dataset(data: bytes, syntax: TransferSyntax) -> DicomDataset:
    """The attributes of `KEYWORDS` in a data set.

    Args:
        data: the data set without file header, inflated where it was deflated.
        syntax: how it is encoded.

    Raises:
        CorruptInputError: malformed, truncated, or sequences nested without end.
        ResourceLimitError: a header of absurd length.
    """
    try:
        return DicomDataset(_elements(data, syntax), little_endian=syntax.little_endian)
    except CxrEdgeError:
        raise
    except MemoryError:
        raise ResourceLimitError("the DICOM header needs more memory than there is") from None
    except RecursionError:
        raise CorruptInputError("the DICOM header nests sequences too deeply") from None
    except Exception as error:  # 2,100 mutated headers raised ten types; their messages may quote values
        raise CorruptInputError(f"the DICOM header is damaged: {type(error).__name__} while reading it") from None


def _elements(data: bytes, syntax: TransferSyntax) -> dict[int, Any]:
    stream = _MeteredBytes(data)
    elements: dict[int, Any] = {}
    while True:
        stop = _StopAt()
        reader = data_element_generator(
            stream,
            is_implicit_VR=syntax.implicit_vr,
            is_little_endian=syntax.little_endian,
            stop_when=stop,
            specific_tags=list(TAGS.values()),
        )
        elements.update((int(element.tag), element) for element in reader)
        if stop.character_set_bytes is None:
            return elements
        stream.seek(ELEMENT_HEADER_BYTES + stop.character_set_bytes, 1)
