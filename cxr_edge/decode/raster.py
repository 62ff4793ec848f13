"""PNG and JPEG files to stored grey pixels. Runs in the codec process (see isolation.py)."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxr_edge.decode.frame_memory import FrameMemory
from cxr_edge.decode.jpeg import inspect_jpeg
from cxr_edge.decode.limits import check_frame_size
from cxr_edge.decode.pillow_frame import GREY_DTYPES, load_grey
from cxr_edge.decode.png import inspect_png, require_all_rows
from cxr_edge.errors import CorruptInputError, UnsupportedInputError

__all__ = ["decode_jpeg_file", "decode_png_file", "open_checked"]

GREY_16_MODES = ("I;16", "I;16B", "I;16L", "I")
"""What Pillow's versions call 16-bit grey. Its own conversion to 8 bits saturates at 255, so it is never used."""


ORIENTATION = 0x0112
"""EXIF tag; 1 means upright as stored."""


def decode_png_file(data: bytes, max_pixels: int, memory: FrameMemory) -> NDArray[Any]:
    """Stored grey values of a PNG, ``[H, W]`` uint8 or (16-bit grey) uint16, upright as its EXIF orientation says.

    Grey of 1, 2 and 4 bits is spread over 0-255. A palette of greys, RGB with R = G = B, and alpha that is opaque
    everywhere are taken as the grey they show.

    Raises:
        CorruptInputError: truncated or damaged.
        UnsupportedInputError: real colour, transparency, animation, 16-bit colour.
        ResourceLimitError: more than `max_pixels` pixels by the header; nothing is decoded then.
    """
    header = inspect_png(data)
    check_frame_size(header.height, header.width, max_pixels)
    image = open_checked(data, "PNG", header.width, header.height)
    pixels = _loaded(image, memory)
    if header.interlaced or not (np.asarray(image) if pixels is None else pixels)[-1].any():
        require_all_rows(data, header)
    return _upright_grey(image, pixels)


def decode_jpeg_file(data: bytes, max_pixels: int, memory: FrameMemory) -> NDArray[Any]:
    """Stored grey values of a JPEG, ``[H, W]`` uint8, upright as its EXIF orientation says.

    Bytes after the end marker are ignored. A colour JPEG passes only when R = G = B everywhere.

    Raises:
        CorruptInputError: truncated or damaged.
        UnsupportedInputError: real colour, CMYK, lossless or 12-bit JPEG.
        ResourceLimitError: more than `max_pixels` pixels by the header; nothing is decoded then.
    """
    header = inspect_jpeg(data)
    check_frame_size(header.height, header.width, max_pixels)
    image = open_checked(data, "JPEG", header.width, header.height, end=header.end)
    return _upright_grey(image, _loaded(image, memory))


def open_checked(
    data: bytes, plugin: Literal["JPEG", "JPEG2000", "PNG"], width: int, height: int, end: int | None = None
) -> Image.Image:
    """The image as Pillow's named plugin opens it, not yet decoded.

    Args:
        data: the file or codestream.
        plugin: Pillow's name for the format.
        width: what the header said when it was checked against the caps.
        height: the same.
        end: where the image ends, when something may follow that is none of it.

    Raises:
        CorruptInputError: Pillow reads another size from the header than was checked against the caps.
    """
    content = data if end in (None, len(data)) else data[:end]
    image = Image.open(BytesIO(content), formats=[plugin])
    if image.size != (width, height):
        raise CorruptInputError(
            f"the {plugin} header is ambiguous: {width} x {height} or {image.width} x {image.height}"
        )
    return image


def _loaded(image: Image.Image, memory: FrameMemory) -> NDArray[Any] | None:
    """The decoded pixels of plain grey, in memory of our own; None for what has to be looked at as an image first."""
    if image.mode not in GREY_DTYPES or "transparency" in image.info:
        return None
    return load_grey(image, memory)


def _upright_grey(image: Image.Image, pixels: NDArray[Any] | None) -> NDArray[Any]:
    """Grey values, turned and mirrored as the EXIF orientation tells.

    Args:
        image: the image; read as far as its end when `pixels` are there, so that all of its EXIF data is known.
        pixels: its grey values as they are stored, where they could be decoded directly.
    """
    as_stored = image.getexif().get(ORIENTATION, 1) == 1
    if pixels is not None and as_stored and "transparency" not in image.info:
        return pixels
    return _grey(image if as_stored else ImageOps.exif_transpose(image))


def _grey(image: Image.Image) -> NDArray[Any]:
    if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBA", "RGBa"):
        image = _without_opaque_alpha(image)
    if image.mode in GREY_16_MODES:
        return np.asarray(image).astype(np.uint16)
    if image.mode in ("1", "L"):
        return np.array(image.convert("L"))
    if image.mode in ("P", "RGB"):
        return _grey_of_equal_channels(np.asarray(image.convert("RGB")))
    raise UnsupportedInputError(f"{image.mode} colour is not supported; a radiograph is grey")


def _without_opaque_alpha(image: Image.Image) -> Image.Image:
    """The image as RGB when its alpha is 255 everywhere: then it shows the same with and without.

    Raises:
        UnsupportedInputError: something is transparent: what lies behind is unknown.
    """
    if image.mode in GREY_16_MODES:
        raise UnsupportedInputError("16-bit grey with a transparent value is not supported; remove the tRNS chunk")
    rgba = image.convert("RGBA")
    lowest = int(np.asarray(rgba)[..., 3].min())
    if lowest < 255:
        raise UnsupportedInputError(
            f"the image is partly transparent (alpha down to {lowest} of 255); flatten it first"
        )
    return rgba.convert("RGB")


def _grey_of_equal_channels(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    red = np.ascontiguousarray(rgb[..., 0])
    if not (np.array_equal(red, rgb[..., 1]) and np.array_equal(red, rgb[..., 2])):
        raise UnsupportedInputError("the image is in colour; a radiograph is grey (R = G = B in every pixel)")
    return red
