"""Compressed DICOM pixel data to stored values: one frame taken out, decoded, freed of what is not the sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.decode.codecs import CodecRequest, Samples
from cxr_edge.decode.decoding import decoded_samples
from cxr_edge.decode.dicom_dataset import DicomDataset, tag_name
from cxr_edge.decode.encapsulated import frame_codestream
from cxr_edge.decode.image_description import ImageDescription
from cxr_edge.decode.limits import DecodeLimits
from cxr_edge.decode.pixel_cells import samples_of_cells, sign_extended
from cxr_edge.decode.transfer_syntax import TransferSyntax
from cxr_edge.errors import CorruptInputError, CxrEdgeError, UnsupportedInputError

__all__ = ["stored_pixels"]


def stored_pixels(
    dataset: DicomDataset, image: ImageDescription, syntax: TransferSyntax, frame: int, limits: DecodeLimits
) -> NDArray[Any]:
    """Stored values of one compressed frame, ``[rows, columns]`` uint8/uint16, or int8/int16 where the image is signed.

    A JPEG 2000 frame comes back smaller where `limits` ask for it (`DecodeLimits.reduce_to`).

    Raises:
        CorruptInputError: truncated or damaged pixel data, or a codestream that contradicts the DICOM header.
        UnsupportedInputError: an encoding that is not read.
        ResourceLimitError: the codec needed more memory or time than allowed.
    """
    assert syntax.codec is not None, "native_pixels reads uncompressed pixel data"
    request = CodecRequest(
        syntax.codec, limits.max_pixels, image.rows, image.columns, image.bits_allocated, limits.reduce_to or 0
    )
    decoded = _decoded(frame_codestream(dataset, image, frame), request, syntax, limits)
    rows, columns = (decoded.reduction * side for side in decoded.pixels.shape)
    if (rows, columns) != (image.rows, image.columns):
        raise CorruptInputError(
            f"the codestream has {columns} x {rows} pixels, the DICOM header says {image.columns} x {image.rows}"
        )
    if syntax.codec == "dicom rle":  # RLE packs whole cells, like native data
        return samples_of_cells(decoded.pixels, image)
    return _fitted(decoded, image)


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
        values = sign_extended(values, decoded.precision)  # the encoder was not told of the sign
    low = -(1 << (image.bits_stored - 1)) if image.signed else 0
    high = low + (1 << image.bits_stored) - 1
    if decoded.reduction > 1:  # the wavelet may overshoot at edges, which no full frame shows
        values = np.clip(values, low, high)
    if int(values.min()) < low or int(values.max()) > high:
        raise CorruptInputError(
            f"the codestream holds values outside {low} to {high}, which DICOM {tag_name('BitsStored')} and "
            "PixelRepresentation allow"
        )
    return values.astype(f"{'i' if image.signed else 'u'}{image.bits_allocated // 8}", copy=False)
