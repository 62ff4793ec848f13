"""Uncompressed pixel data: only the chosen frame is read, once, into the array that preprocessing will read.

Bytes in memory are not even copied: the pixels are a read-only view of them. Where samples do not fill their cells, a
file's strips are freed of the other bits while they lie in the processor's cache, so that costs no further pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.decode.contents import Contents, MemoryContents
from cxr_edge.decode.dicom_dataset import DicomDataset, tag_name
from cxr_edge.decode.image_description import ImageDescription
from cxr_edge.decode.pixel_cells import sample_type, samples_of_cells, turn_into_samples
from cxr_edge.errors import CorruptInputError

__all__ = ["native_pixels"]

STRIP_BYTES = 2**18
"""A strip of pixels that stays in a small core's second-level cache."""

CACHE_LINE = 64
"""Bytes that move between memory and processor together."""


def native_pixels(dataset: DicomDataset, image: ImageDescription, frame: int, *, little_endian: bool) -> NDArray[Any]:
    """Stored values of one frame, ``[rows, columns]`` of `sample_type`; read-only where they are a view.

    Raises:
        CorruptInputError: encapsulated or truncated pixel data, or a file that changed meanwhile.
    """
    element = dataset.pixel_data()
    if not element.is_defined:
        raise CorruptInputError(f"DICOM {tag_name('PixelData')} is encapsulated in an uncompressed transfer syntax")
    needed = image.frames * image.frame_bytes
    if element.length < needed:
        raise CorruptInputError(
            f"DICOM {tag_name('PixelData')} is truncated: {element.length} of {needed} bytes are there"
        )
    contents, offset = dataset.contents, element.offset
    if image.bits_allocated == 8 and not little_endian and element.vr == b"OW":
        # 8-bit cells in 16-bit big-endian words: each pair is swapped (PS3.5 8.1.1 and annex D)
        words = np.frombuffer(contents.read(offset, element.length & ~1), "<u2").byteswap()
        if words.nbytes < needed:
            raise CorruptInputError(f"DICOM {tag_name('PixelData')} has an odd number of bytes in 16-bit words")
        contents, offset = MemoryContents(words.tobytes()), 0
    offset += frame * image.frame_bytes
    cell = np.dtype(f"{'<' if little_endian else '>'}u{image.bits_allocated // 8}")
    held = contents.view(offset, image.frame_bytes)
    samples = _read(contents, offset, image, cell) if held is None else _viewed(held, image, cell)
    return samples.reshape(image.rows, image.columns)


def _viewed(held: memoryview, image: ImageDescription, cell: np.dtype[Any]) -> NDArray[Any]:
    """The samples in bytes that are held in memory; a copy only where byte order, place or other bits ask for one."""
    cells = np.frombuffer(held, cell)
    if not (cells.dtype.isnative and cells.flags.aligned):
        cells = cells.astype(cell.newbyteorder("="))
    return samples_of_cells(cells, image)


def _read(contents: Contents, offset: int, image: ImageDescription, cell: np.dtype[Any]) -> NDArray[Any]:
    cells = _empty_cells(image.rows * image.columns, cell.newbyteorder("="), offset)
    for strip in _strips(cells):
        contents.read_into(offset, strip.data.cast("B"))
        offset += strip.nbytes
        if not cell.isnative:
            strip.byteswap(inplace=True)
        turn_into_samples(strip, image)
    return cells.view(sample_type(image))


def _empty_cells(count: int, cell: np.dtype[Any], offset: int) -> NDArray[Any]:
    """An array that lies within its cache line as the pixels do in theirs, a file's pages being whole cache lines.

    The system then copies line by line, a fifth faster (18 MB: 1.9 ms instead of 2.4).
    """
    memory = np.empty(count * cell.itemsize + CACHE_LINE, np.uint8)
    start = (offset - memory.ctypes.data) % CACHE_LINE
    start -= start % cell.itemsize  # PixelData at an odd offset, which no sound file has
    return memory[start : start + count * cell.itemsize].view(cell)


def _strips(cells: NDArray[Any]) -> Iterator[NDArray[Any]]:
    length = STRIP_BYTES // cells.itemsize
    return (cells[start : start + length] for start in range(0, cells.size, length))
