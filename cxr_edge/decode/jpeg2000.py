"""JPEG 2000 codestreams to the sample values they hold. Runs in the codec process (see isolation.py)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.decode.frame_memory import FrameMemory
from cxr_edge.decode.limits import check_frame_size
from cxr_edge.decode.pillow_frame import load_grey
from cxr_edge.decode.raster import open_checked
from cxr_edge.decode.reduced_resolution import Reduction, block_means, possible_reduction
from cxr_edge.errors import CorruptInputError, UnsupportedInputError

__all__ = ["Jpeg2000Header", "decode_jpeg2000", "inspect_jpeg2000"]

SOC_SIZ = b"\xff\x4f\xff\x51"
JP2_SIGNATURE = b"\0\0\0\x0cjP  "
EOC = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Jpeg2000Header:
    """Size in pixels, significant bits (1-16) and signedness of a grey codestream, from its SIZ segment."""

    width: int
    height: int
    precision: int
    signed: bool


def inspect_jpeg2000(data: bytes) -> Jpeg2000Header:
    """The header of a one-component codestream that reaches its end marker.

    Raises:
        CorruptInputError: not a codestream, or truncated (no EOC marker, ISO/IEC 15444-1 A.4.4).
        UnsupportedInputError: several components, more than 16 bits, or wrapped in a JP2 file.
    """
    if data.startswith(JP2_SIGNATURE):
        raise UnsupportedInputError("a JPEG 2000 frame wrapped in a JP2 file is not supported (PS3.5 A.4.4 forbids it)")
    if not data.startswith(SOC_SIZ) or len(data) < 45:
        raise CorruptInputError("the frame is no JPEG 2000 codestream")
    if not data.rstrip(b"\0").endswith(EOC):
        raise CorruptInputError("the JPEG 2000 codestream is truncated: it has no end marker (EOC)")
    right, bottom, left, top = struct.unpack_from(">4I", data, 8)
    components, depth, step_x, step_y = struct.unpack_from(">H3B", data, 40)
    if components != 1 or (step_x, step_y) != (1, 1):
        raise UnsupportedInputError(f"a JPEG 2000 frame of {components} components is not supported; grey is")
    precision = (depth & 0x7F) + 1
    if precision > 16:
        raise UnsupportedInputError(f"JPEG 2000 of {precision} bits per sample is not supported; up to 16 are")
    if right <= left or bottom <= top:
        raise CorruptInputError("the JPEG 2000 header describes an empty image")
    return Jpeg2000Header(right - left, bottom - top, precision, bool(depth & 0x80))


def decode_jpeg2000(
    data: bytes, max_pixels: int, memory: FrameMemory, reduce_to: int = 0
) -> tuple[NDArray[Any], int, int]:
    """Sample values ``[H, W]`` as the encoder saw them (uint8/16, int8/16), their precision in bits, and the reduction.

    Args:
        data: the codestream.
        max_pixels: cap on the full frame, whatever the reduction.
        memory: gives the memory to decode into.
        reduce_to: shorter side down to which the frame may be reduced; 0 decodes it in full.

    Raises:
        CorruptInputError, UnsupportedInputError: see `inspect_jpeg2000`.
        ResourceLimitError: more than `max_pixels` pixels by the header; nothing is decoded then.
    """
    header = inspect_jpeg2000(data)
    check_frame_size(header.height, header.width, max_pixels)
    image = open_checked(data, "JPEG2000", header.width, header.height)
    reduction = possible_reduction(data, header.height, header.width, reduce_to) if reduce_to else Reduction()
    levels = reduction.levels
    if levels:
        image.reduce = levels  # type: ignore[method-assign, assignment]  # a setter of this plugin's, over a method
    scaled = load_grey(image, memory, (header.height >> levels, header.width >> levels))
    if levels:
        scaled = block_means(scaled, reduction, np.iinfo(scaled.dtype).max)
    return _unscaled(scaled, header), header.precision, 1 << levels


def _unscaled(scaled: NDArray[Any], header: Jpeg2000Header) -> NDArray[Any]:
    """Sample values again, in place, after what Pillow does to them without saying so.

    It offsets signed samples and shifts all of them left until they fill 8 or 16 bits (its Jpeg2KDecode.c,
    j2ku_gray_l and j2ku_gray_i).
    """
    container = 8 * scaled.dtype.itemsize
    if container != header.precision:
        np.right_shift(scaled, container - header.precision, out=scaled)
    if not header.signed:
        return scaled
    # Subtracting half the range in the same width wraps around to two's complement.
    np.subtract(scaled, scaled.dtype.type(1 << (header.precision - 1)), out=scaled)
    return scaled.view(f"i{container // 8}")
