"""DICOM pixel data to stored values: one frame taken out, decoded where compressed, freed of what is not the sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import get_frame

from cxr_edge.decode.codecs import CodecRequest, Samples
from cxr_edge.decode.decoding import decoded_samples
from cxr_edge.decode.dicom_dataset import DicomDataset, tag_name
from cxr_edge.decode.image_description import ImageDescription
from cxr_edge.decode.limits import DecodeLimits
from cxr_edge.decode.transfer_syntax import TransferSyntax
from cxr_edge.errors import CorruptInputError, CxrEdgeError, UnsupportedInputError

__all__ = ["samples_of_cells", "stored_pixels"]


def stored_pixels(
    dataset: DicomDataset, image: ImageDescription, syntax: TransferSyntax, frame: int, limits: DecodeLimits
) -> NDArray[Any]:
    """Stored values of one frame, ``[rows, columns]`` uint8/uint16, or int8/int16 where the image is signed.

    Raises:
        CorruptInputError: truncated or damaged pixel data, or a codestream that contradicts the DICOM header.
        UnsupportedInputError: an encoding that is not read.
        ResourceLimitError: the codec needed more memory or time than allowed.
    """
    if syntax.codec is None:
        return samples_of_cells(_native_cells(dataset, image, frame, little_endian=syntax.little_endian), image)
    request = CodecRequest(syntax.codec, limits.max_pixels, image.rows, image.columns, image.bits_allocated)
    decoded = _decoded(_codestream(dataset, image, frame), request, syntax, limits)
    if decoded.pixels.shape != (image.rows, image.columns):
        raise CorruptInputError(
            f"the codestream has {decoded.pixels.shape[1]} x {decoded.pixels.shape[0]} pixels, the DICOM header says "
            f"{image.columns} x {image.rows}"
        )
    if syntax.codec == "dicom rle":  # RLE packs whole cells, like native data
        return samples_of_cells(decoded.pixels, image)
    return _fitted(decoded, image)


def samples_of_cells(cells: NDArray[Any], image: ImageDescription) -> NDArray[Any]:
    """The samples within pixel cells (PS3.5 8.1.1): moved down from HighBit, other bits cleared, sign extended.

    Args:
        cells: unsigned, of BitsAllocated bits. Bits outside the sample may hold overlays or anything.
        image: where the sample sits.
    """
    shift = image.high_bit + 1 - image.bits_stored
    if shift:
        cells = cells >> shift
    if image.bits_stored < image.bits_allocated:
        cells = cells & cells.dtype.type((1 << image.bits_stored) - 1)
    return _sign_extended(cells, image.bits_stored) if image.signed else cells


def _sign_extended(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Unsigned values read as two's complement of so many bits, in the signed type of the same width."""
    spare = 8 * values.dtype.itemsize - bits
    signed: NDArray[Any] = (values << spare).view(f"i{values.dtype.itemsize}")
    return signed >> spare


def _native_cells(dataset: DicomDataset, image: ImageDescription, frame: int, *, little_endian: bool) -> NDArray[Any]:
    if dataset.is_encapsulated():
        raise CorruptInputError(f"DICOM {tag_name('PixelData')} is encapsulated in an uncompressed transfer syntax")
    data = dataset.raw("PixelData")
    needed = image.frames * image.frame_bytes
    if len(data) < needed:
        raise CorruptInputError(f"DICOM {tag_name('PixelData')} is truncated: {len(data)} of {needed} bytes are there")
    if image.bits_allocated == 8 and not little_endian and dataset.vr("PixelData") == "OW":
        # 8-bit cells in 16-bit big-endian words: each pair is swapped (PS3.5 8.1.1 and annex D)
        data = np.frombuffer(data[: len(data) & ~1], "<u2").byteswap().tobytes()
        if len(data) < needed:
            raise CorruptInputError(f"DICOM {tag_name('PixelData')} has an odd number of bytes in 16-bit words")
    cell = np.dtype(f"{'<' if little_endian else '>'}u{image.bits_allocated // 8}")
    cells = np.frombuffer(data, cell, image.rows * image.columns, offset=frame * image.frame_bytes)
    return cells.astype(cell.newbyteorder("="), copy=False).reshape(image.rows, image.columns)


def _codestream(dataset: DicomDataset, image: ImageDescription, frame: int) -> bytes:
    """The fragments of one frame, joined (PS3.5 A.4)."""
    if not dataset.is_encapsulated():
        raise CorruptInputError(f"DICOM {tag_name('PixelData')} is not encapsulated in a compressed transfer syntax")
    try:
        return get_frame(dataset.raw("PixelData"), frame, number_of_frames=image.frames)
    except Exception as error:  # pydicom raises ValueError, struct.error, IndexError ... on damaged offsets
        raise CorruptInputError(
            f"DICOM {tag_name('PixelData')} is damaged: {type(error).__name__} while looking for frame {frame}"
        ) from None


def _decoded(data: bytes, request: CodecRequest, syntax: TransferSyntax, limits: DecodeLimits) -> Samples:
    try:
        return decoded_samples(request, data, limits)
    except CxrEdgeError as error:
        raise type(error)(f"DICOM of transfer syntax {syntax.uid}: {error}") from error


def _fitted(decoded: Samples, image: ImageDescription) -> NDArray[Any]:
    """A codec's samples in the type that the DICOM header calls for.

    Raises:
        UnsupportedInputError: HighBit is not BitsStored - 1; for a codestream, which has no cells, it means nothing.
        CorruptInputError: values that BitsStored and PixelRepresentation do not allow.
    """
    if image.high_bit != image.bits_stored - 1:
        raise UnsupportedInputError(
            f"DICOM {tag_name('HighBit')} is {image.high_bit} in a compressed image; not supported"
        )
    values = decoded.pixels
    if image.signed and values.dtype.kind == "u":
        values = _sign_extended(values, decoded.precision)  # the encoder was not told of the sign
    low = -(1 << (image.bits_stored - 1)) if image.signed else 0
    high = low + (1 << image.bits_stored) - 1
    if int(values.min()) < low or int(values.max()) > high:
        raise CorruptInputError(
            f"the codestream holds values outside {low} to {high}, which DICOM {tag_name('BitsStored')} and "
            "PixelRepresentation allow"
        )
    return values.astype(f"{'i' if image.signed else 'u'}{image.bits_allocated // 8}", copy=False)
