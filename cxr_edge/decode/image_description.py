"""What a DICOM header says of its pixels (Image Pixel module, PS3.3 C.7.6.3), checked before any pixel is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cxr_edge.decode.dicom_dataset import DicomDataset, tag_name
from cxr_edge.decode.limits import DecodeLimits, check_frame_size
from cxr_edge.errors import CorruptInputError, ResourceLimitError, UnsupportedInputError, UsageError

__all__ = ["ImageDescription", "describe_image", "select_frame"]

Monochrome = Literal["MONOCHROME1", "MONOCHROME2"]
COLOUR = ("ARGB", "CMYK", "HSV", "PALETTE COLOR", "RGB", "XYB")


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """One grey image: size in pixels, how a sample sits in its cell, and its polarity.

    A cell has `bits_allocated` bits (8 or 16), of which the `bits_stored` below and with `high_bit` are the sample.
    """

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: Monochrome

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * (self.bits_allocated // 8)


def describe_image(dataset: DicomDataset, limits: DecodeLimits) -> ImageDescription:
    """The image that the header describes.

    Raises:
        CorruptInputError: a required attribute is missing or impossible.
        UnsupportedInputError: colour, an unusual bit depth, no polarity, or an image not made for presentation.
        ResourceLimitError: more pixels or frames than the limits allow.
    """
    _require_pixel_data(dataset)
    rows, columns = dataset.unsigned_short("Rows"), dataset.unsigned_short("Columns")
    if rows == 0 or columns == 0:
        raise CorruptInputError(f"DICOM {tag_name('Rows')} x {tag_name('Columns')} is {rows} x {columns}")
    check_frame_size(rows, columns, limits.max_pixels)
    frames = _number_of_frames(dataset, limits)
    bits_allocated, bits_stored, high_bit = _bits(dataset)
    photometric = _photometric(dataset)
    _require_presentation(dataset)
    representation = dataset.unsigned_short("PixelRepresentation")
    if representation not in (0, 1):
        raise CorruptInputError(f"DICOM {tag_name('PixelRepresentation')} is {representation}; it can be 0 or 1")
    signed = representation == 1
    return ImageDescription(rows, columns, frames, bits_allocated, bits_stored, high_bit, signed, photometric)


def select_frame(frames: int, frame: int | None) -> int:
    """The index (from 0) of the frame to decode.

    Args:
        frames: how many the input has.
        frame: the one that was asked for, from 0; None when nothing was asked.

    Raises:
        UsageError: there is no such frame.
        UnsupportedInputError: several frames and none chosen: the first is not more likely to be meant than another.
    """
    if frame is None:
        if frames > 1:
            raise UnsupportedInputError(f"the image has {frames} frames; choose one of 0 to {frames - 1} (--frame)")
        return 0
    if not 0 <= frame < frames:
        raise UsageError(f"frame {frame} does not exist; the image has {frames}, numbered from 0")
    return frame


def _require_pixel_data(dataset: DicomDataset) -> None:
    for keyword in ("FloatPixelData", "DoubleFloatPixelData"):
        if keyword in dataset:
            raise UnsupportedInputError(f"DICOM {tag_name(keyword)} is not supported; integer PixelData is")
    if "PixelData" not in dataset:
        raise CorruptInputError(f"DICOM {tag_name('PixelData')} is missing: the file holds no image")


def _number_of_frames(dataset: DicomDataset, limits: DecodeLimits) -> int:
    frames = int(next(iter(dataset.numbers("NumberOfFrames")), 1))
    if frames < 1:
        raise CorruptInputError(f"DICOM {tag_name('NumberOfFrames')} is {frames}")
    if frames > limits.max_frames:
        raise ResourceLimitError(f"the image has {frames} frames; the limit is {limits.max_frames} (max_frames)")
    return frames


def _bits(dataset: DicomDataset) -> tuple[int, int, int]:
    allocated = dataset.unsigned_short("BitsAllocated")
    if allocated not in (8, 16):
        raise UnsupportedInputError(f"DICOM {tag_name('BitsAllocated')} is {allocated}; supported are 8 and 16")
    stored, high_bit = dataset.unsigned_short("BitsStored"), dataset.unsigned_short("HighBit")
    if not 1 <= stored <= allocated:
        raise CorruptInputError(f"DICOM {tag_name('BitsStored')} is {stored} with BitsAllocated {allocated}")
    if not stored - 1 <= high_bit < allocated:
        raise CorruptInputError(
            f"DICOM {tag_name('HighBit')} is {high_bit} with BitsStored {stored} and BitsAllocated {allocated}"
        )
    return allocated, stored, high_bit


def _photometric(dataset: DicomDataset) -> Monochrome:
    name = tag_name("PhotometricInterpretation")
    value = next(iter(dataset.strings("PhotometricInterpretation")), "")
    if not value:
        raise UnsupportedInputError(f"DICOM {name} is missing, so whether high values are white is unknown")
    if value in COLOUR or value.startswith("YBR_"):
        raise UnsupportedInputError(f"DICOM {name} says that the image is in colour; a radiograph is grey")
    if value == "MONOCHROME1" or value == "MONOCHROME2":
        samples = dataset.unsigned_short("SamplesPerPixel")
        if samples != 1:
            raise CorruptInputError(
                f"DICOM {tag_name('SamplesPerPixel')} is {samples} in a {value} image; it must be 1"
            )
        return "MONOCHROME1" if value == "MONOCHROME1" else "MONOCHROME2"
    raise UnsupportedInputError(f"DICOM {name} has a value that is not supported; MONOCHROME1 and MONOCHROME2 are")


def _require_presentation(dataset: DicomDataset) -> None:
    if "FOR PROCESSING" in dataset.strings("PresentationIntentType"):
        raise UnsupportedInputError(
            f"DICOM {tag_name('PresentationIntentType')} is FOR PROCESSING: raw detector data, which looks unlike what "
            "the model was trained on; give the FOR PRESENTATION image"
        )
