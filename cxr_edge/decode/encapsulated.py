"""Encapsulated pixel data (PS3.5 A.4): the codestream of one frame, put together from its fragments."""

from __future__ import annotations

import struct

from cxr_edge.decode.dicom_dataset import DicomDataset, tag_name
from cxr_edge.decode.image_description import ImageDescription
from cxr_edge.errors import CorruptInputError

__all__ = ["frame_codestream"]

ITEM = b"\xfe\xff\x00\xe0"
ITEM_HEAD = struct.Struct("<4sI")
ONE_OFFSET = 4
"""Bytes of a Basic Offset Table with one frame's offset."""


def frame_codestream(dataset: DicomDataset, image: ImageDescription, frame: int) -> bytes:
    """The fragments of one frame, joined.

    Raises:
        CorruptInputError: pixel data that is not encapsulated, or whose fragments or offsets are damaged.
    """
    element = dataset.pixel_data()
    if element.is_defined:
        raise CorruptInputError(f"DICOM {tag_name('PixelData')} is not encapsulated in a compressed transfer syntax")
    data = dataset.contents.read(element.offset, element.length)
    try:
        items = _items(data) if image.frames == 1 else []
        if len(items) > 1 and len(items[0]) <= ONE_OFFSET:
            return b"".join(items[1:])
        # Offset tables of several frames are pydicom's job; it takes 0.2 s to import.
        from pydicom.encaps import get_frame

        return get_frame(data, frame, number_of_frames=image.frames)
    except Exception as error:  # pydicom raises ValueError, struct.error, IndexError ... on damaged offsets
        raise CorruptInputError(
            f"DICOM {tag_name('PixelData')} is damaged: {type(error).__name__} while looking for frame {frame}"
        ) from None


def _items(data: bytes) -> list[memoryview]:
    """The offset table and the fragments behind it; empty where they do not fill the data."""
    items, position = [], 0
    while position + ITEM_HEAD.size <= len(data):
        tag, length = ITEM_HEAD.unpack_from(data, position)
        position += ITEM_HEAD.size + length
        if tag != ITEM:
            return []
        items.append(memoryview(data)[position - length : position])
    return items if position == len(data) else []
