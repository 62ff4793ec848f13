from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from cxr_edge.decode import DecodeLimits, decode
from cxr_edge.decode.png import PngHeader
from cxr_edge.errors import CorruptInputError, ResourceLimitError, UnsupportedInputError, UsageError
from cxr_edge.preprocess.reference import preprocess
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Window

Save = Callable[..., bytes]
ORIENTATION = 0x0112


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, bit_depth: int, colour_type: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def test_grey_png_keeps_its_stored_values(grey: np.ndarray, saved: Save) -> None:
    radiograph = decode(saved(grey, "PNG"))
    np.testing.assert_array_equal(radiograph.pixels, grey)
    assert radiograph.pixels.dtype == np.uint8
    assert (radiograph.window, radiograph.inverted, radiograph.source) == (Window(0, 255), False, "png")
    assert radiograph.window_rule == "bits stored"


def test_16_bit_png_keeps_all_16_bits(saved: Save) -> None:
    pixels = np.linspace(0, 65_535, 40 * 30).astype(np.uint16).reshape(40, 30)
    radiograph = decode(saved(pixels, "PNG"))
    assert radiograph.pixels.dtype == np.uint16
    np.testing.assert_array_equal(radiograph.pixels, pixels)
    assert radiograph.window == Window(0, 65_535)


def test_16_bit_png_equals_its_8_bit_twin_after_preprocessing(grey: np.ndarray, saved: Save) -> None:
    spec = PreprocessSpec(height=16, width=16)
    twin = preprocess(decode(saved(grey.astype(np.uint16) * 257, "PNG")), spec)
    np.testing.assert_allclose(twin, preprocess(decode(saved(grey, "PNG")), spec), atol=1e-6)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_of_few_bits_is_spread_over_the_grey_scale(bits: int) -> None:
    levels = (1 << bits) - 1
    row = b"\0" + bytes([0b00011011 if bits == 2 else 0b00001111])  # filter byte, then one byte of samples
    samples = [(row[1] >> shift) & levels for shift in range(8 - bits, -1, -bits)]
    content = png(8 // bits, 1, bits, 0, chunk(b"IDAT", zlib.compress(row)))
    np.testing.assert_array_equal(decode(content).pixels[0], [sample * 255 // levels for sample in samples])


def test_palette_of_greys_shows_the_picture_not_the_indices(grey: np.ndarray, saved: Save) -> None:
    image = Image.fromarray(255 - grey)  # indices run against the greys
    image.putpalette([255 - value for value in range(256) for _ in range(3)])
    np.testing.assert_array_equal(decode(saved(image, "PNG")).pixels, grey)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_grey_stored_as_equal_channels_or_with_opaque_alpha_is_grey(mode: str, grey: np.ndarray, saved: Save) -> None:
    np.testing.assert_array_equal(decode(saved(Image.fromarray(grey).convert(mode), "PNG")).pixels, grey)


def test_one_coloured_pixel_makes_a_colour_image(grey: np.ndarray, saved: Save) -> None:
    image = Image.fromarray(grey).convert("RGB")
    image.putpixel((3, 4), (10, 10, 11))
    with pytest.raises(UnsupportedInputError, match="colour"):
        decode(saved(image, "PNG"))


def test_coloured_palette_is_refused(grey: np.ndarray, saved: Save) -> None:
    image = Image.fromarray(grey)
    image.putpalette([channel for value in range(256) for channel in (value, 0, 255 - value)])
    with pytest.raises(UnsupportedInputError, match="colour"):
        decode(saved(image, "PNG"))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_refused(mode: str, grey: np.ndarray, saved: Save) -> None:
    image = Image.fromarray(grey).convert(mode)
    image.putalpha(Image.fromarray(np.where(grey > 100, 254, 255).astype(np.uint8)))
    with pytest.raises(UnsupportedInputError, match="transparent"):
        decode(saved(image, "PNG"))


def test_a_transparent_grey_value_is_refused_where_it_occurs(grey: np.ndarray, saved: Save) -> None:
    with pytest.raises(UnsupportedInputError, match="transparent"):
        decode(saved(grey, "PNG", transparency=int(grey[0, 0])))


def test_16_bit_colour_is_refused_rather_than_cut_to_8_bits() -> None:
    content = png(1, 1, 16, 2, chunk(b"IDAT", zlib.compress(b"\0" + b"\x12\x34" * 3)))
    with pytest.raises(UnsupportedInputError, match="16 bits"):
        decode(content)


def test_animated_png_is_refused(grey: np.ndarray, saved: Save) -> None:
    frames = [Image.fromarray(255 - grey)]
    with pytest.raises(UnsupportedInputError, match="animated"):
        decode(saved(grey, "PNG", save_all=True, append_images=frames))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("file_format", "dtype"), [("PNG", np.uint8), ("PNG", np.uint16), ("JPEG", np.uint8)])
def test_exif_orientation_is_applied(
    file_format: str, dtype: type, orientation: int, grey: np.ndarray, saved: Save
) -> None:
    upright = ImageOps.exif_transpose(Image.open(BytesIO(saved(grey, "PNG", exif=exif(orientation)))))
    decoded = decode(saved(grey.astype(dtype), file_format, exif=exif(orientation))).pixels
    assert decoded.shape == np.asarray(upright).shape
    assert np.abs(decoded.astype(int) - np.asarray(upright)).max() <= 4  # JPEG is lossy


def test_jpeg_of_greys_is_read_even_as_colour_jpeg(grey: np.ndarray, saved: Save) -> None:
    smooth = np.repeat(np.arange(0, 240, 6, dtype=np.uint8)[:, None], 30, axis=1)
    for image in (Image.fromarray(smooth), Image.fromarray(smooth).convert("RGB")):
        radiograph = decode(saved(image, "JPEG", quality=100))
        assert radiograph.source == "jpeg"
        assert np.abs(radiograph.pixels.astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}])
def test_jpeg_variants_decode(options: dict[str, object], grey: np.ndarray, saved: Save) -> None:
    decoded = decode(saved(grey, "JPEG", quality=95, **options)).pixels
    assert np.abs(decoded.astype(int) - grey).max() <= 8


def test_colour_jpeg_and_cmyk_jpeg_are_refused(saved: Save) -> None:
    for mode, colour in (("RGB", (200, 30, 30)), ("CMYK", (10, 20, 30, 40))):
        with pytest.raises(UnsupportedInputError, match="colour"):
            decode(saved(Image.new(mode, (32, 32), colour), "JPEG"))


def test_bytes_after_the_end_of_the_image_are_ignored(grey: np.ndarray, saved: Save) -> None:
    for file_format in ("PNG", "JPEG"):
        content = saved(grey, file_format)
        np.testing.assert_array_equal(decode(content + b"\0trailing").pixels, decode(content).pixels)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_every_truncation_is_corrupt(file_format: str, grey: np.ndarray, saved: Save) -> None:
    content = saved(grey, file_format)
    for length in range(4, len(content), max(1, len(content) // 60)):
        with pytest.raises(CorruptInputError):
            decode(content[:length])
    with pytest.raises(CorruptInputError):
        decode(content[:-1])


def test_a_flipped_bit_in_png_data_is_found(grey: np.ndarray, saved: Save) -> None:
    content = bytearray(saved(grey, "PNG"))
    content[content.index(b"IDAT") + 20] ^= 1
    with pytest.raises(CorruptInputError, match="checksum"):
        decode(bytes(content))


@pytest.mark.parametrize("isolate", [True, False])
def test_png_bomb_is_stopped_by_its_header(isolate: bool) -> None:
    bomb = png(20_000, 20_000, 8, 0, chunk(b"IDAT", zlib.compress(bytes(20_001) * 200)))
    with pytest.raises(ResourceLimitError, match="20000 x 20000"):
        decode(bomb, limits=DecodeLimits(isolate=isolate))


def test_jpeg_above_the_pixel_cap_is_stopped_by_its_header(grey: np.ndarray, saved: Save) -> None:
    with pytest.raises(ResourceLimitError, match="max_pixels"):
        decode(saved(grey, "JPEG"), limits=DecodeLimits(max_pixels=grey.size - 1))


def test_an_absurdly_long_side_is_refused() -> None:
    with pytest.raises(ResourceLimitError, match="longest side"):
        decode(png(70_000, 1, 8, 0, chunk(b"IDAT", zlib.compress(bytes(70_001)))))


def test_a_well_formed_png_with_too_few_rows_is_corrupt() -> None:
    rows = b"".join(b"\0" + bytes([200]) * 64 for _ in range(10))
    with pytest.raises(CorruptInputError, match="3510 bytes of its image data are missing"):
        decode(png(64, 64, 8, 0, chunk(b"IDAT", zlib.compress(rows))))


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_a_whole_png_may_end_in_a_black_row(bits: int) -> None:
    row_bytes = 1 + (21 * bits + 7) // 8
    rows = (b"\0" + b"\xff" * (row_bytes - 1)) * 8 + bytes(row_bytes)
    pixels = decode(png(21, 9, bits, 0, chunk(b"IDAT", zlib.compress(rows)))).pixels
    assert pixels[:-1].min() == pixels.max() > 0 == pixels[-1].max()


@pytest.mark.parametrize(("size", "inflated"), [((1, 1), 2), ((8, 8), 79), ((5, 3), 22)])
def test_the_data_of_an_interlaced_png_is_counted_pass_by_pass(size: tuple[int, int], inflated: int) -> None:
    assert PngHeader(*size, bit_depth=8, colour_type=0, interlaced=True).data_bytes == inflated


def test_raster_files_have_one_frame(grey: np.ndarray, saved: Save) -> None:
    content = saved(grey, "PNG")
    np.testing.assert_array_equal(decode(content, frame=0).pixels, grey)
    with pytest.raises(UsageError, match="frame 1 does not exist"):
        decode(content, frame=1)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_decoding_in_this_process_gives_the_same_numbers(file_format: str, grey: np.ndarray, saved: Save) -> None:
    content = saved(grey, file_format)
    here = decode(content, limits=DecodeLimits(isolate=False))
    np.testing.assert_array_equal(here.pixels, decode(content).pixels)
