"""The table of compressed codecs, and the one boundary where third-party decoders' exceptions become ours.

The same `run_codec` serves both ways of decoding: in the codec process (isolation.py) and, on request, in this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from cxr_edge.decode.frame_memory import FrameMemory, private_memory
from cxr_edge.decode.jpeg import inspect_jpeg
from cxr_edge.decode.jpeg2000 import decode_jpeg2000
from cxr_edge.decode.limits import check_frame_size
from cxr_edge.decode.pillow_frame import load_grey
from cxr_edge.decode.raster import decode_jpeg_file, decode_png_file, open_checked
from cxr_edge.decode.rle import decode_rle
from cxr_edge.errors import CorruptInputError, CxrEdgeError, ResourceLimitError, UnsupportedInputError

__all__ = ["CodecName", "CodecRequest", "Samples", "run_codec"]

CodecName = Literal["dicom jpeg", "dicom jpeg 2000", "dicom rle", "jpeg file", "png file"]


@dataclass(frozen=True, slots=True)
class CodecRequest:
    """What to decode, without the data: all of it technical, nothing of the patient's.

    Attributes:
        codec: which decoder.
        max_pixels: cap on the frame that the codestream's own header announces.
        rows, columns, bits_allocated: what the DICOM header says; only RLE, which has no header of its own, needs them.
        reduce_to: shorter side down to which a JPEG 2000 frame may be reduced, pixels; 0 means every pixel is decoded.
    """

    codec: CodecName
    max_pixels: int
    rows: int = 0
    columns: int = 0
    bits_allocated: int = 0
    reduce_to: int = 0


@dataclass(frozen=True, slots=True)
class Samples:
    """What a codec made of its data.

    Attributes:
        pixels: ``[H, W]`` uint8, uint16, int8 or int16.
        precision: significant bits of a sample, by the codestream's header.
        reduction: how many times smaller the frame is than the image, in each direction: 1, 2, 4 or 8.
    """

    pixels: NDArray[Any]
    precision: int
    reduction: int = 1


def run_codec(request: CodecRequest, data: bytes, memory: FrameMemory = private_memory) -> Samples:
    """The decoded samples of one frame.

    Args:
        request: what to decode.
        data: the codestream or file.
        memory: gives the memory that the frame is decoded into, by the codecs that can choose.

    Raises:
        CorruptInputError, UnsupportedInputError, ResourceLimitError: whatever goes wrong becomes one of these; a
            decoder's own message is left out, since it may quote the file's contents.
    """
    try:
        return CODECS[request.codec](request, data, memory)
    except CxrEdgeError:
        raise
    except MemoryError:
        raise ResourceLimitError("decoding needs more memory than it may take (DecodeLimits.memory_mb)") from None
    except Exception as error:  # Pillow raises anything from SyntaxError to struct.error on damaged files
        raise CorruptInputError(f"the {request.codec} data is damaged: {type(error).__name__} while decoding") from None


def _png_file(request: CodecRequest, data: bytes, memory: FrameMemory) -> Samples:
    return _full_range(decode_png_file(data, request.max_pixels, memory))


def _jpeg_file(request: CodecRequest, data: bytes, memory: FrameMemory) -> Samples:
    return _full_range(decode_jpeg_file(data, request.max_pixels, memory))


def _dicom_jpeg(request: CodecRequest, data: bytes, memory: FrameMemory) -> Samples:
    header = inspect_jpeg(data)
    if header.components != 1:
        raise UnsupportedInputError(f"a JPEG frame of {header.components} colour components is not supported; grey is")
    check_frame_size(header.height, header.width, request.max_pixels)
    image = open_checked(data, "JPEG", header.width, header.height, end=header.end)
    return _full_range(load_grey(image, memory))


def _dicom_jpeg2000(request: CodecRequest, data: bytes, memory: FrameMemory) -> Samples:
    return Samples(*decode_jpeg2000(data, request.max_pixels, memory, request.reduce_to))


def _dicom_rle(request: CodecRequest, data: bytes, _: FrameMemory) -> Samples:
    check_frame_size(request.rows, request.columns, request.max_pixels)
    return _full_range(decode_rle(data, request.rows, request.columns, request.bits_allocated))


def _full_range(pixels: NDArray[Any]) -> Samples:
    return Samples(pixels, 8 * pixels.dtype.itemsize)


CODECS: dict[CodecName, Callable[[CodecRequest, bytes, FrameMemory], Samples]] = {
    "dicom jpeg": _dicom_jpeg,
    "dicom jpeg 2000": _dicom_jpeg2000,
    "dicom rle": _dicom_rle,
    "jpeg file": _jpeg_file,
    "png file": _png_file,
}
