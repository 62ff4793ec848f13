from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cxr_edge.decode import DecodeLimits, decode
from cxr_edge.errors import CorruptInputError, ResourceLimitError, UnsupportedInputError, UsageError

DicomWriter = Callable[..., bytes]
IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
JPEG_BASELINE, JPEG_2000_LOSSLESS, JPEG_2000 = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 90, 91))
RLE = "1.2.840.10008.1.2.5"


def encapsulated(*fragments: bytes) -> bytes:
    padded = [fragment + b"\0" * (len(fragment) % 2) for fragment in (b"", *fragments)]
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(fragment)) + fragment for fragment in padded)
    return items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def packbits(data: bytes) -> bytes:
    """Literal runs only, padded to even length: enough for a decoder that must also take repeats from elsewhere."""
    packed = b"".join(bytes([len(data[i : i + 128]) - 1]) + data[i : i + 128] for i in range(0, len(data), 128))
    return packed + b"\x80" * (len(packed) % 2)


def rle(*segments: bytes) -> bytes:
    offsets = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    return struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


def rle_frame(pixels: np.ndarray) -> bytes:
    planes = pixels.astype(">u2").view(np.uint8).reshape(*pixels.shape, 2)
    return rle(packbits(planes[..., 0].tobytes()), packbits(planes[..., 1].tobytes()))


def codestream(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int8, np.int16])
def test_native_pixels_of_every_type_and_byte_order(transfer_syntax: str, dtype: type, dicom: DicomWriter) -> None:
    info = np.iinfo(dtype)
    pixels = np.linspace(info.min, info.max, 24 * 32).astype(dtype).reshape(24, 32)
    data = pixels.astype(pixels.dtype.newbyteorder(">" if transfer_syntax == EXPLICIT_BE else "<")).tobytes()
    if transfer_syntax == EXPLICIT_BE and pixels.itemsize == 1:
        data = np.frombuffer(data, "<u2").byteswap().tobytes()  # OW words are written big end first
    radiograph = decode(dicom(pixels, transfer_syntax=transfer_syntax, PixelData=data))
    assert radiograph.pixels.dtype == dtype
    np.testing.assert_array_equal(radiograph.pixels, pixels)
    assert radiograph.source == f"dicom {transfer_syntax}"


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_bits_stored_are_junk(bits: int, signed: bool, dicom: DicomWriter) -> None:
    rng = np.random.default_rng(bits)
    low = -(1 << (bits - 1)) if signed else 0
    values = rng.integers(low, low + (1 << bits), (24, 32))
    junk = rng.integers(0, 1 << 16, values.shape) & ~((1 << bits) - 1)
    cells = ((values & ((1 << bits) - 1)) | junk).astype(np.uint16)
    radiograph = decode(dicom(cells, BitsStored=bits, PixelRepresentation=int(signed)))
    np.testing.assert_array_equal(radiograph.pixels, values)


@pytest.mark.parametrize("signed", [False, True])
def test_samples_above_bit_zero_are_moved_down(signed: bool, dicom: DicomWriter) -> None:
    values = np.arange(24 * 32).reshape(24, 32) - (400 if signed else 0)
    cells = ((values.astype(np.int32) << 4 | 0b1011) & 0xFFFF).astype(np.uint16)
    content = dicom(cells, BitsStored=12, HighBit=15, PixelRepresentation=int(signed))
    np.testing.assert_array_equal(decode(content).pixels, values)


@pytest.mark.parametrize(
    "missing", ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"]
)
def test_a_missing_pixel_description_is_corrupt_and_named(missing: str, dicom: DicomWriter, ramp: np.ndarray) -> None:
    with pytest.raises(CorruptInputError, match=missing):
        decode(dicom(ramp, **{missing: None}))


def test_a_missing_polarity_is_never_guessed(dicom: DicomWriter, ramp: np.ndarray) -> None:
    with pytest.raises(UnsupportedInputError, match="PhotometricInterpretation"):
        decode(dicom(ramp, PhotometricInterpretation=None))


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422", "PALETTE COLOR"])
def test_colour_is_unsupported(photometric: str, dicom: DicomWriter, ramp: np.ndarray) -> None:
    with pytest.raises(UnsupportedInputError, match="colour"):
        decode(dicom(ramp, PhotometricInterpretation=photometric, SamplesPerPixel=3))


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"BitsStored": 17, "HighBit": 16}, CorruptInputError),
        ({"BitsStored": 0, "HighBit": 0}, CorruptInputError),
        ({"BitsStored": 12, "HighBit": 3}, CorruptInputError),
        ({"HighBit": 16}, CorruptInputError),
        ({"PixelRepresentation": 2}, CorruptInputError),
        ({"SamplesPerPixel": 3}, CorruptInputError),
        ({"Rows": 0}, CorruptInputError),
        ({"Rows": b"\x08\0\x09\0"}, CorruptInputError),
        ({"NumberOfFrames": "0"}, CorruptInputError),
        ({"NumberOfFrames": "many"}, CorruptInputError),
        ({"BitsAllocated": 32}, UnsupportedInputError),
        ({"PhotometricInterpretation": "MONOCHROME3"}, UnsupportedInputError),
        ({"PixelData": None, "FloatPixelData": b"\0" * 16}, UnsupportedInputError),
        ({"Rows": 65_535, "Columns": 65_535}, ResourceLimitError),
        ({"NumberOfFrames": "1000000"}, ResourceLimitError),
    ],
)
def test_impossible_descriptions(
    attributes: dict[str, object], error: type[Exception], dicom: DicomWriter, ramp: np.ndarray
) -> None:
    with pytest.raises(error):
        decode(dicom(ramp, **attributes))


def test_multi_frame_images_need_a_choice_of_frame(dicom: DicomWriter, ramp: np.ndarray) -> None:
    frames = [ramp, ramp[::-1], ramp + 1]
    content = dicom(ramp, NumberOfFrames="3", PixelData=b"".join(frame.tobytes() for frame in frames))
    with pytest.raises(UnsupportedInputError, match="3 frames"):
        decode(content)
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(decode(content, frame=index).pixels, frame)
    for index in (3, -1):
        with pytest.raises(UsageError, match=f"frame {index} does not exist"):
            decode(content, frame=index)


def test_frames_of_compressed_images_are_told_apart(dicom: DicomWriter, ramp: np.ndarray) -> None:
    data = encapsulated(rle_frame(ramp), rle_frame(ramp + 1))
    content = dicom(ramp, transfer_syntax=RLE, NumberOfFrames="2", PixelData=data)
    np.testing.assert_array_equal(decode(content, frame=1).pixels, ramp + 1)


@pytest.mark.parametrize("isolate", [True, False])
def test_rle_pixels_and_their_junk_bits(isolate: bool, dicom: DicomWriter, ramp: np.ndarray) -> None:
    content = dicom(ramp, transfer_syntax=RLE, BitsStored=12, PixelData=encapsulated(rle_frame(ramp | 0xF000)))
    np.testing.assert_array_equal(decode(content, limits=DecodeLimits(isolate=isolate)).pixels, ramp)


def test_rle_repeats_and_no_operations(dicom: DicomWriter) -> None:
    # 1 - n as a byte repeats n times, 128 does nothing (PS3.5 G.3.1)
    frame = rle(bytes([257 - 12, 7, 128, 3, 1, 2, 3, 4]))
    pixels = decode(dicom(np.zeros((4, 4), np.uint8), transfer_syntax=RLE, PixelData=encapsulated(frame))).pixels
    assert pixels.ravel().tolist() == [7] * 12 + [1, 2, 3, 4]


@pytest.mark.parametrize("isolate", [True, False])
def test_rle_bomb_stops_at_the_size_of_the_frame(isolate: bool, dicom: DicomWriter) -> None:
    bomb = rle(bytes([129, 5]) * 4_000_000)  # 8 MB that stand for 512 MB
    content = dicom(np.zeros((4, 4), np.uint8), transfer_syntax=RLE, PixelData=encapsulated(bomb))
    assert decode(content, limits=DecodeLimits(isolate=isolate, memory_mb=400)).pixels.tolist() == [[5] * 4] * 4


@pytest.mark.parametrize(
    "frame", [b"", b"\0" * 63, rle(b"\1\2\3\4", b"\1\2\3\4", b"\1\2"), rle(packbits(b"\1" * 10), packbits(b"\1" * 10)),
              struct.pack("<16I", 2, 64, 64, *[0] * 13) + b"\0" * 90, struct.pack("<16I", 2, 64, 9999, *[0] * 13)]
)  # fmt: skip
def test_damaged_rle_is_corrupt(frame: bytes, dicom: DicomWriter, ramp: np.ndarray) -> None:
    with pytest.raises(CorruptInputError):
        decode(dicom(ramp, transfer_syntax=RLE, PixelData=encapsulated(frame)))


def test_jpeg_baseline(dicom: DicomWriter, grey: np.ndarray) -> None:
    stream = codestream(Image.fromarray(grey), "JPEG", quality=95)
    content = dicom(grey, transfer_syntax=JPEG_BASELINE, PixelData=encapsulated(stream[:300], stream[300:]))
    np.testing.assert_array_equal(decode(content).pixels, decode(stream).pixels)


def test_exif_orientation_within_a_dicom_frame_is_not_applied(dicom: DicomWriter, grey: np.ndarray) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    stream = codestream(Image.fromarray(grey), "JPEG", quality=95, exif=turned)
    content = dicom(grey, transfer_syntax=JPEG_BASELINE, PixelData=encapsulated(stream))
    assert decode(content).pixels.shape == grey.shape


@pytest.mark.parametrize("precision", [2, 5, 8, 9, 10, 12, 15, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_2000_samples_are_those_that_were_encoded(precision: int, signed: bool, dicom: DicomWriter) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    low = -(1 << (precision - 1)) if signed else 0
    kind = f"{'i' if signed else 'u'}{1 if precision <= 8 else 2}"
    values = np.random.default_rng(precision).integers(low, low + (1 << precision), (24, 32)).astype(kind)
    stream = imagecodecs.jpeg2k_encode(values, codecformat="J2K", reversible=True, level=0, bitspersample=precision)
    cells = np.zeros(values.shape, f"{'i' if signed else 'u'}2")
    content = dicom(cells, transfer_syntax=JPEG_2000_LOSSLESS, BitsStored=precision, PixelData=encapsulated(stream))
    radiograph = decode(content)
    assert radiograph.pixels.dtype == cells.dtype
    np.testing.assert_array_equal(radiograph.pixels, values)


def j2k(pixels: np.ndarray) -> bytes:
    return codestream(Image.fromarray(pixels), "JPEG2000", no_jp2=True)


def test_jpeg_2000_of_an_encoder_that_was_not_told_of_the_sign(dicom: DicomWriter) -> None:
    values = np.arange(24 * 32).reshape(24, 32).astype(np.int16) - 300
    data = encapsulated(j2k(values.view(np.uint16)))
    np.testing.assert_array_equal(decode(dicom(values, transfer_syntax=JPEG_2000, PixelData=data)).pixels, values)


def test_jpeg_2000_values_beyond_bits_stored_are_corrupt(dicom: DicomWriter, ramp: np.ndarray) -> None:
    content = dicom(ramp, transfer_syntax=JPEG_2000, BitsStored=10, PixelData=encapsulated(j2k(ramp)))
    with pytest.raises(CorruptInputError, match="BitsStored"):
        decode(content)


def test_jpeg_2000_needs_its_end_marker(dicom: DicomWriter, ramp: np.ndarray) -> None:
    content = dicom(ramp, transfer_syntax=JPEG_2000, PixelData=encapsulated(j2k(ramp)[:-40]))
    with pytest.raises(CorruptInputError, match="EOC"):
        decode(content)


def test_a_codestream_of_another_size_than_the_header_is_corrupt(dicom: DicomWriter, ramp: np.ndarray) -> None:
    content = dicom(ramp, transfer_syntax=JPEG_2000, PixelData=encapsulated(j2k(ramp[:, :-1])))
    with pytest.raises(CorruptInputError, match="31 x 24 pixels"):
        decode(content)


def test_a_codestream_that_is_a_bomb_behind_a_small_header_is_stopped(dicom: DicomWriter) -> None:
    large = codestream(Image.new("L", (2000, 2000)), "JPEG")
    content = dicom(np.zeros((8, 8), np.uint8), transfer_syntax=JPEG_BASELINE, PixelData=encapsulated(large))
    with pytest.raises(ResourceLimitError, match="2000 x 2000"):
        decode(content, limits=DecodeLimits(max_pixels=1_000_000))


@pytest.mark.parametrize("transfer_syntax", [JPEG_BASELINE, JPEG_2000, RLE])
def test_damaged_encapsulation_is_corrupt(transfer_syntax: str, dicom: DicomWriter, grey: np.ndarray) -> None:
    for data in (grey.tobytes(), encapsulated(b""), encapsulated(b"\xff\xd8\xff garbage"), encapsulated()):
        with pytest.raises(CorruptInputError):
            decode(dicom(grey, transfer_syntax=transfer_syntax, PixelData=data))


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.1.2.4.51", "JPEG Extended"),
        ("1.2.840.10008.1.2.4.70", "JPEG Lossless"),
        ("1.2.840.10008.1.2.4.80", "JPEG-LS"),
        ("1.2.840.10008.1.2.4.81", "JPEG-LS"),
        ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000"),
        ("1.2.3.4.5", "1.2.3.4.5"),
    ],
)
def test_other_transfer_syntaxes_are_named_with_a_way_out(
    uid: str, name: str, dicom: DicomWriter, ramp: np.ndarray
) -> None:
    with pytest.raises(UnsupportedInputError, match="gdcmconv") as caught:
        decode(dicom(ramp, transfer_syntax=uid))
    assert uid in str(caught.value)
    assert name in str(caught.value)
