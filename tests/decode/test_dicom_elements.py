"""Elements are found where pydicom finds them, without a look at their values."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.encaps import encapsulate, get_frame
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from cxr_edge.decode import decode
from cxr_edge.decode.contents import MemoryContents
from cxr_edge.decode.dicom_dataset import TAGS
from cxr_edge.decode.dicom_elements import MAX_DEPTH, PIXEL_DATA, Element, ElementReader
from cxr_edge.decode.encapsulated import _items
from cxr_edge.decode.transfer_syntax import READABLE, TransferSyntax
from cxr_edge.errors import CorruptInputError

DicomWriter = Callable[..., bytes]
IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def found(data: bytes, syntax: TransferSyntax = READABLE[EXPLICIT_LE]) -> list[Element]:
    return list(ElementReader(MemoryContents(data), 0, syntax))


def nested(depth: int, *, undefined: bool) -> Dataset:
    """A data set with `depth` sequences within each other, and an element that stands behind them at every level."""
    dataset = Dataset()
    dataset.StudyDescription = "behind"
    if depth:
        inner = nested(depth - 1, undefined=undefined)
        inner.is_undefined_length_sequence_item = undefined
        dataset.ReferencedSeriesSequence = Sequence([inner, inner])
        dataset["ReferencedSeriesSequence"].is_undefined_length = undefined
    return dataset


@pytest.mark.parametrize("uid", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_of_either_length_are_passed_over(uid: str, undefined: bool) -> None:
    syntax = READABLE[uid]
    dataset = nested(4, undefined=undefined)
    dataset.Rows = 24
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax.implicit_vr, syntax.little_endian
    write_dataset(stream, dataset)
    data = stream.getvalue()
    elements = found(data, syntax)
    assert [element.tag for element in elements] == list(map(int, dataset.keys()))
    rows = elements[-1]
    assert data[rows.offset : rows.offset + rows.length] == struct.pack("<H" if syntax.little_endian else ">H", 24)
    assert elements[1].is_sequence is (undefined or not syntax.implicit_vr)


def test_the_table_of_tags_is_the_dictionary_s() -> None:
    assert {keyword: tag_for_keyword(keyword) for keyword in TAGS} == TAGS


def item(body: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(body) if length is None else length) + body


ITEM_END, SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0), struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
ROWS = struct.pack("<HH2sHH", 0x0028, 0x0010, b"US", 2, 24)
IMPLICIT_ROWS = struct.pack("<HHIH", 0x0028, 0x0010, 2, 24)


def sequence(vr: bytes, body: bytes) -> bytes:
    return struct.pack("<HH2sHI", 0x0009, 0x1001, vr, 0, 0xFFFFFFFF) + body + SEQUENCE_END


@pytest.mark.parametrize("inner", [ROWS, IMPLICIT_ROWS])
@pytest.mark.parametrize("vr", [b"SQ", b"UN"])
def test_items_may_be_implicit_within_an_explicit_file(vr: bytes, inner: bytes) -> None:
    data = sequence(vr, item(inner + ITEM_END, 0xFFFFFFFF)) + ROWS
    assert [(element.tag, element.length) for element in found(data)][1:] == [(0x00280010, 2)]


def test_an_element_without_a_vr_is_read_as_implicit() -> None:
    assert [(e.tag, e.vr, e.length) for e in found(IMPLICIT_ROWS + ROWS)] == [
        (0x00280010, None, 2),
        (0x00280010, b"US", 2),
    ]


def test_a_value_that_ends_with_the_file_is_as_long_as_it_is() -> None:
    (element,) = found(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 1000) + b"\1\2\3")
    assert (element.tag, element.length) == (PIXEL_DATA, 3)


def test_nothing_behind_pixel_data_is_looked_at() -> None:
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 2) + b"\1\2"
    assert [element.tag for element in found(pixels + b"\xff" * 40)] == [PIXEL_DATA]


@pytest.mark.parametrize(
    "data",
    [
        sequence(b"SQ", b"")[:-8],
        sequence(b"SQ", item(ROWS))[:-4],
        sequence(b"SQ", item(ROWS, 0xFFFFFFFF)),
        sequence(b"SQ", ROWS),
        sequence(b"OB", item(b"\0" * 4, 0xFFFFFFFF)),
        ROWS + struct.pack("<HH2sH", 0x0009, 0x1001, b"OB", 0) + b"\1",
    ],
)
def test_what_has_no_end_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptInputError, match="damaged"):
        found(data)


def test_nesting_has_a_limit() -> None:
    def deep(levels: int) -> bytes:
        return sequence(b"SQ", item(deep(levels - 1) + ITEM_END, 0xFFFFFFFF)) if levels else ROWS

    assert len(found(deep(MAX_DEPTH))) == 1
    with pytest.raises(CorruptInputError, match="nests"):
        found(deep(MAX_DEPTH + 1))


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("with_offsets", [False, True])
def test_the_fragments_of_one_frame_are_joined_as_pydicom_joins_them(fragments: int, with_offsets: bool) -> None:
    stream = bytes(range(200))
    data = encapsulate([stream], fragments_per_frame=fragments, has_bot=with_offsets)
    assert b"".join(_items(data)[1:]) == get_frame(data, 0, number_of_frames=1) == stream


def test_every_truncation_of_a_header_with_sequences_is_corrupt(dicom: DicomWriter, ramp: np.ndarray) -> None:
    content = dicom(ramp, extra={0x00091001: sequence(b"SQ", item(ROWS + ITEM_END, 0xFFFFFFFF) + item(ROWS))})
    assert dcmread(BytesIO(content)).Rows == decode(content).height
    for length in range(132, len(content) - ramp.nbytes):
        with pytest.raises(CorruptInputError):
            decode(content[:length])
