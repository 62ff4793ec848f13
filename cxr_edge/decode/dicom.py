"""A DICOM file to a `Radiograph`: file header, data set, image description, pixels, display; each in its own module."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from cxr_edge.decode.contents import Contents, MemoryContents
from cxr_edge.decode.dicom_dataset import DicomDataset, read_dataset
from cxr_edge.decode.display import describe_display
from cxr_edge.decode.image_description import ImageDescription, describe_image, select_frame
from cxr_edge.decode.limits import DecodeLimits
from cxr_edge.decode.native_pixels import native_pixels
from cxr_edge.decode.part10 import inflate, read_file_header
from cxr_edge.decode.transfer_syntax import TransferSyntax, transfer_syntax
from cxr_edge.records import Radiograph

__all__ = ["decode_dicom"]


def decode_dicom(contents: Contents, frame: int | None, limits: DecodeLimits) -> Radiograph:
    """The radiograph in a DICOM file. Everything the header can rule out is ruled out before pixels are read.

    Raises:
        CorruptInputError, UnsupportedInputError, ResourceLimitError, UsageError: see the stages.
    """
    header = read_file_header(contents)
    syntax = transfer_syntax(header.transfer_syntax)
    dataset = _dataset(contents, header.dataset_offset, syntax, limits)
    image = describe_image(dataset, limits)
    display = describe_display(dataset, image)
    chosen = select_frame(image.frames, frame)
    if display.padding is not None:
        # In a smaller frame padding and tissue would share pixels, which are neither.
        limits = replace(limits, reduce_to=None)
    pixels = _pixels(dataset, image, syntax, chosen, limits)
    contents.check_unchanged()  # header and pixels are of one state of the file
    return Radiograph(
        pixels=pixels,
        window=display.window,
        inverted=display.inverted,
        padding=display.padding,
        source=f"dicom {syntax.uid}",
        window_rule=display.window_rule,
        warnings=(*display.warnings, *_reduction_warning(image.rows, pixels.shape)),
    )


def _reduction_warning(rows: int, shape: tuple[int, ...]) -> tuple[str, ...]:
    """What a reader should know of a frame that was decoded smaller than it is; nothing of any other."""
    if shape[0] == rows:
        return ()
    reduced = f"1/{rows // shape[0]} of its size, {shape[1]} x {shape[0]} pixels"
    return (f"the frame was decoded at {reduced} (DecodeLimits.reduce_to)",)


def _dataset(contents: Contents, start: int, syntax: TransferSyntax, limits: DecodeLimits) -> DicomDataset:
    if not syntax.deflated:
        return read_dataset(contents, start, syntax)
    inflated = inflate(contents.read(start, contents.size - start), limits.max_file_bytes)
    return read_dataset(MemoryContents(inflated), 0, syntax)


def _pixels(
    dataset: DicomDataset, image: ImageDescription, syntax: TransferSyntax, frame: int, limits: DecodeLimits
) -> NDArray[Any]:
    if syntax.codec is None:
        return native_pixels(dataset, image, frame, little_endian=syntax.little_endian)
    # Imported here because uncompressed files need neither Pillow nor what starts the codec process.
    from cxr_edge.decode.stored_pixels import stored_pixels

    return stored_pixels(dataset, image, syntax, frame, limits)
