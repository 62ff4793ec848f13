"""Where the elements of a DICOM data set lie (PS3.5 7): values are found, not read, so pixel data costs nothing here.

A reader of our own, because decoding needs some twenty attributes of the top level and the place of the pixels, and
pydicom takes 0.2 s to import and copies every value it passes. It follows pydicom in what it forgives.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cxr_edge.decode.contents import Contents
from cxr_edge.decode.transfer_syntax import TransferSyntax
from cxr_edge.errors import CorruptInputError, ResourceLimitError

__all__ = ["LONG_VRS", "PIXEL_DATA", "Element", "ElementReader"]

LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Value representations whose length has 32 bits in Explicit VR (PS3.5 7.1.2)."""

SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
PIXEL_DATA = 0x7FE00010
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
HEAD_BYTES = 8

MAX_ELEMENTS = 100_000
"""Elements and items of a header before it counts as a bomb; ordinary files have some hundred."""

MAX_DEPTH = 100
"""Sequences within sequences before it counts as damage; the deepest that the standard defines have about ten."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the top level.

    Attributes:
        tag: group and element number.
        vr: value representation as the file has it; None under Implicit VR.
        offset: where in the contents the value begins.
        length: bytes of the value that are there; of undefined length, up to the delimiter.
        is_defined: whether the header gives the length; False for fragments and for sequences that end in a delimiter.
        is_sequence: whether the value is known to hold items of elements.
    """

    tag: int
    vr: bytes | None
    offset: int
    length: int
    is_defined: bool = True
    is_sequence: bool = False


@dataclass(frozen=True, slots=True)
class _Head:
    """Tag, VR and length in front of a value, which begins at `end`."""

    tag: int
    vr: bytes | None
    length: int
    end: int


class ElementReader:
    """Walks the top level of one data set.

    Args:
        contents: what holds it, up to its last byte.
        start: where it begins.
        syntax: how it is encoded.
    """

    def __init__(self, contents: Contents, start: int, syntax: TransferSyntax) -> None:
        self._contents = contents
        self._start = start
        self._implicit = syntax.implicit_vr
        order = "<" if syntax.little_endian else ">"
        self._tag_and_long = struct.Struct(f"{order}HHI")
        self._tag_vr_short = struct.Struct(f"{order}HH2sH")
        self._long = struct.Struct(f"{order}I")
        self._elements_left = MAX_ELEMENTS

    def __iter__(self) -> Iterator[Element]:
        """The elements in the file's order up to pixel data; what stands behind pixel data does not concern pixels.

        Raises:
            CorruptInputError: an element cut off in its head, a sequence or fragments without an end, or nesting
                deeper than `MAX_DEPTH`.
            ResourceLimitError: more than `MAX_ELEMENTS`.
        """
        position = self._start
        while (head := self._head(position, implicit=self._implicit)) is not None and head.tag <= PIXEL_DATA:
            position = self._end_of_value(head, depth=1)
            yield self._element(head, position)
            if head.tag == PIXEL_DATA:
                return

    def _head(self, position: int, *, implicit: bool) -> _Head | None:
        """The head of the element at a position; None where the contents end."""
        self._elements_left -= 1
        if self._elements_left < 0:
            raise ResourceLimitError(f"the DICOM header has more than {MAX_ELEMENTS} elements; no radiograph's does")
        head = self._contents.read(position, HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            return None
        end = position + HEAD_BYTES
        if implicit or not _looks_like_vr(head[4:6]):
            # Some writers change to Implicit VR within an explicit file: what is no VR is half a length.
            group, number, length = self._tag_and_long.unpack(head)
            return _Head(group << 16 | number, None, length, end)
        group, number, vr, length = self._tag_vr_short.unpack(head)
        if vr not in LONG_VRS:
            return _Head(group << 16 | number, vr, length, end)
        extended = self._contents.read(end, 4)
        if len(extended) < 4:
            raise CorruptInputError("the DICOM header is damaged: it ends within an element")
        return _Head(group << 16 | number, vr, self._long.unpack(extended)[0], end + 4)

    def _element(self, head: _Head, end: int) -> Element:
        if head.length == UNDEFINED:
            return Element(head.tag, head.vr, head.end, end - HEAD_BYTES - head.end, False, _holds_items(head))
        there = max(min(head.length, self._contents.size - head.end), 0)
        return Element(head.tag, head.vr, head.end, there, True, head.vr == b"SQ")

    def _end_of_value(self, head: _Head, depth: int) -> int:
        """Where the next element begins."""
        if head.length != UNDEFINED:
            return head.end + head.length
        if _holds_items(head):
            # UN of undefined length is a sequence in Implicit VR (PS3.5 6.2.2, note 2)
            return self._end_of_sequence(head.end, self._implicit or head.vr in (None, b"UN"), depth)
        return self._end_of_fragments(head.end)

    def _end_of_sequence(self, position: int, implicit: bool, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise CorruptInputError("the DICOM header nests sequences too deeply")
        while (item := self._item(position)).tag != SEQUENCE_END:
            position = item.end + item.length
            if item.length == UNDEFINED:
                position = self._end_of_item(item.end, self._is_implicit(item.end, default=implicit), depth)
        return item.end

    def _end_of_item(self, position: int, implicit: bool, depth: int) -> int:
        while (head := self._head(position, implicit=implicit)) is not None:
            if head.tag == ITEM_END:
                return head.end
            position = self._end_of_value(head, depth + 1)
        raise CorruptInputError("the DICOM header is damaged: a sequence has no end")

    def _is_implicit(self, position: int, *, default: bool) -> bool:
        """How an item's elements are encoded; some writers mix both ways in one file."""
        vr = self._contents.read(position + 4, 2)
        if vr in LONG_VRS or vr in SHORT_VRS:
            return False
        return default or not _looks_like_vr(vr)

    def _end_of_fragments(self, position: int) -> int:
        while (item := self._item(position)).tag != SEQUENCE_END:
            if item.length == UNDEFINED:
                raise CorruptInputError("the DICOM header is damaged: a fragment of pixel data has no length")
            position = item.end + item.length
        return item.end

    def _item(self, position: int) -> _Head:
        item = self._head(position, implicit=True)
        if item is None or item.tag not in (ITEM, SEQUENCE_END):
            raise CorruptInputError("the DICOM header is damaged: a sequence has no end")
        return item


def _holds_items(head: _Head) -> bool:
    """Whether a value of undefined length is a sequence; otherwise it is fragments of compressed data (PS3.5 A.4)."""
    return head.vr in (b"SQ", b"UN") if head.vr is not None else head.tag != PIXEL_DATA


def _looks_like_vr(two: bytes) -> bool:
    """Whether two bytes could be a VR, if one that is not known; pydicom draws the same line."""
    return b"AA" <= two <= b"ZZ"
