"""PNG and JPEG files to stored grey pixels. Runs in the codec process (see isolation.py)."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxr_edge.decode.jpeg import inspect_jpeg
from cxr_edge.decode.limits import check_frame_size
from cxr_edge.decode.png import inspect_png, require_all_rows
from cxr_edge.errors import CorruptInputError, UnsupportedInputError

__all__ = ["decode_jpeg_file", "decode_png_file", "open_checked"]

GREY_16_MODES = ("I;16", "I;16B", "I;16L", "I")
"""What Pillow's versions call 16-bit grey. Its own conversion to 8 bits saturates at 255, so it is never used."""


def decode_png_file(data: bytes, max_pixels: int) -> NDArray[Any]:
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
    if header.interlaced or not np.asarray(image)[-1].any():
        require_all_rows(data, header)
    return _grey(_upright(image))


def decode_jpeg_file(data: bytes, max_pixels: int) -> NDArray[Any]:
    """Stored grey values of a JPEG, ``[H, W]`` uint8, upright as its EXIF orientation says.

    Bytes after the end marker are ignored. A colour JPEG passes only when R = G = B everywhere.

    Raises:
        CorruptInputError: truncated or damaged.
        UnsupportedInputError: real colour, CMYK, lossless or 12-bit JPEG.
        ResourceLimitError: more than `max_pixels` pixels by the header; nothing is decoded then.
    """
    header = inspect_jpeg(data)
    check_frame_size(header.height, header.width, max_pixels)
    return _grey(_upright(open_checked(data[: header.end], "JPEG", header.width, header.height)))


def open_checked(data: bytes, plugin: Literal["JPEG", "JPEG2000", "PNG"], width: int, height: int) -> Image.Image:
    """The image as Pillow's named plugin opens it, not yet decoded.

    Raises:
        CorruptInputError: Pillow reads another size from the header than was checked against the caps.
    """
    image = Image.open(BytesIO(data), formats=[plugin])
    if image.size != (width, height):
        raise CorruptInputError(
            f"the {plugin} header is ambiguous: {width} x {height} or {image.width} x {image.height}"
        )
    return image


def _upright(image: Image.Image) -> Image.Image:
    """The decoded image, turned and mirrored as its EXIF orientation tells."""
    return ImageOps.exif_transpose(image)


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
