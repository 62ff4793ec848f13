from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate

from cxr_edge.decode import DecodeLimits, decode
from cxr_edge.decode.codecs import CodecRequest, Samples, run_codec
from cxr_edge.decode.reduced_resolution import Reduction, block_mean_taps, possible_reduction
from cxr_edge.errors import CorruptInputError, UsageError

Save = Callable[..., bytes]
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"


def smooth(rows: int, columns: int, low: float = 1000, high: float = 3000) -> NDArray[np.uint16]:
    """Slopes and waves much longer than a block of 8 pixels."""
    row, column = np.mgrid[0:rows, 0:columns] / max(rows, columns)
    picture = np.sin(7 * row) * np.cos(9 * column) + column - row
    spread: NDArray[np.uint16] = np.interp(picture, (picture.min(), picture.max()), (low, high)).astype(np.uint16)
    return spread


def codestream(saved: Save, pixels: NDArray[Any], **options: Any) -> bytes:
    return saved(pixels, "JPEG2000", no_jp2=True, **({"irreversible": False} | options))


def decoded(data: bytes, reduce_to: int) -> Samples:
    return run_codec(CodecRequest("dicom jpeg 2000", 10**7, reduce_to=reduce_to), data)


def block_means(pixels: NDArray[Any], factor: int) -> NDArray[np.float64]:
    rows, columns = pixels.shape
    means: NDArray[np.float64] = pixels.reshape(rows // factor, factor, columns // factor, factor).mean(axis=(1, 3))
    return means


@pytest.mark.parametrize("irreversible", [False, True])
@pytest.mark.parametrize(("reduce_to", "factor"), [(128, 2), (64, 4), (32, 8)])
def test_a_reduced_frame_is_the_full_one_averaged_block_by_block(
    reduce_to: int, factor: int, irreversible: bool, saved: Save
) -> None:
    pixels = smooth(256, 320)
    reduced = decoded(codestream(saved, pixels, irreversible=irreversible), reduce_to)
    assert reduced.reduction == factor
    expected = block_means(pixels, factor)
    # The outermost blocks depend on what a wavelet assumes beyond the edge. Unmoved, the band is ten times further off.
    assert np.abs(reduced.pixels - expected)[1:-1, 1:-1].max() < 1.25 * factor


@pytest.mark.parametrize("kernel", [0, 1])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_block_means_are_centred_upon_their_blocks(levels: int, kernel: int) -> None:
    taps = block_mean_taps(Reduction(levels, kernel))
    assert taps.sum() == pytest.approx(1)
    centre = (2**levels - 1) / 2 ** (levels + 1)  # of a block, in reduced pixels after its low-pass sample
    assert taps @ (np.arange(len(taps)) - len(taps) // 2) == pytest.approx(centre, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "reduce_to", "factor"),
    [((256, 256), 129, 1), ((256, 256), 128, 2), ((252, 256), 20, 4), ((255, 256), 20, 1), ((256, 64), 20, 2)],
)
def test_the_factor_divides_both_sides_and_leaves_enough_pixels(
    shape: tuple[int, int], reduce_to: int, factor: int, saved: Save
) -> None:
    reduced = decoded(codestream(saved, smooth(*shape)), reduce_to)
    assert (reduced.reduction, reduced.pixels.shape) == (factor, (shape[0] // factor, shape[1] // factor))


def test_no_more_levels_are_left_out_than_the_codestream_has(saved: Save) -> None:
    assert decoded(codestream(saved, smooth(256, 256), num_resolutions=2), 16).reduction == 2
    assert decoded(codestream(saved, smooth(256, 256), num_resolutions=1), 16).reduction == 1


def test_tiles_and_offsets_are_decoded_in_full(saved: Save) -> None:
    assert decoded(codestream(saved, smooth(256, 256), tile_size=(100, 100)), 16).reduction == 1
    data = bytearray(codestream(saved, smooth(256, 256)))
    struct.pack_into(">4I", data, 8, 260, 260, 4, 4)
    assert possible_reduction(bytes(data), 256, 256, 16).levels == 0


def test_without_being_asked_for_nothing_is_reduced(saved: Save) -> None:
    pixels = smooth(256, 256)
    full = decoded(codestream(saved, pixels), 0)
    assert full.reduction == 1
    np.testing.assert_array_equal(full.pixels, pixels)


def test_bright_edges_stay_within_the_range_of_the_samples(saved: Save) -> None:
    pixels = np.zeros((128, 128), np.uint8)
    pixels[:, 63:] = 255
    reduced = decoded(codestream(saved, pixels, irreversible=True), 32).pixels
    assert reduced[:, 0].max() < 16
    assert reduced[:, -1].min() > 239


def test_headers_without_an_end_are_corrupt(saved: Save) -> None:
    data = codestream(saved, smooth(64, 64))
    with pytest.raises(CorruptInputError, match="headers have no end"):
        possible_reduction(data[:60], 64, 64, 16)


def jpeg2000_dicom(dicom: Callable[..., bytes], saved: Save, pixels: NDArray[Any], **attributes: Any) -> bytes:
    fragments = encapsulate([codestream(saved, pixels)]) + SEQUENCE_END
    return dicom(pixels, transfer_syntax=JPEG_2000_LOSSLESS, PixelData=fragments, **attributes)


def test_a_reduced_dicom_frame_says_so_and_keeps_its_window(dicom: Callable[..., bytes], saved: Save) -> None:
    data = jpeg2000_dicom(dicom, saved, smooth(256, 192), WindowCenter="2000", WindowWidth="1800", BitsStored=12)
    full, reduced = decode(data), decode(data, limits=DecodeLimits(reduce_to=64))
    assert (full.pixels.shape, reduced.pixels.shape) == ((256, 192), (128, 96))
    assert (reduced.window, full.warnings) == (full.window, ())
    assert reduced.warnings == ("the frame was decoded at 1/2 of its size, 96 x 128 pixels (DecodeLimits.reduce_to)",)


def test_overshoot_beyond_the_bits_stored_is_clipped_in_a_reduced_frame(
    dicom: Callable[..., bytes], saved: Save
) -> None:
    pixels = np.full((128, 128), 100, np.uint16)
    pixels[:, 61:] = 4095
    data = jpeg2000_dicom(dicom, saved, pixels, BitsStored=12)
    assert decode(data, limits=DecodeLimits(reduce_to=16)).pixels.max() <= 4095


def test_frames_with_padding_are_decoded_in_full(dicom: Callable[..., bytes], saved: Save) -> None:
    data = jpeg2000_dicom(dicom, saved, smooth(128, 128), PixelPaddingValue=0)
    assert decode(data, limits=DecodeLimits(reduce_to=16)).pixels.shape == (128, 128)


def test_other_formats_are_never_reduced(saved: Save) -> None:
    image = Image.fromarray((smooth(128, 128) >> 4).astype(np.uint8))
    for file_format in ("PNG", "JPEG"):
        assert decode(saved(image, file_format), limits=DecodeLimits(reduce_to=16)).pixels.shape == (128, 128)


def test_a_reduced_side_must_be_positive() -> None:
    with pytest.raises(UsageError, match="reduce_to=0"):
        DecodeLimits(reduce_to=0)
