"""A DICOM file to a `Radiograph`: file header, data set, image description, pixels, display; each in its own module."""

from __future__ import annotations

from cxr_edge.decode.dicom_dataset import read_dataset
from cxr_edge.decode.display import describe_display
from cxr_edge.decode.image_description import describe_image, select_frame
from cxr_edge.decode.limits import DecodeLimits
from cxr_edge.decode.part10 import inflate, read_file_header
from cxr_edge.decode.stored_pixels import stored_pixels
from cxr_edge.decode.transfer_syntax import transfer_syntax
from cxr_edge.records import Radiograph

__all__ = ["decode_dicom"]


def decode_dicom(data: bytes, frame: int | None, limits: DecodeLimits) -> Radiograph:
    """The radiograph in a DICOM file. Everything the header can rule out is ruled out before pixels are decoded.

    Raises:
        CorruptInputError, UnsupportedInputError, ResourceLimitError, UsageError: see the stages.
    """
    header = read_file_header(data)
    syntax = transfer_syntax(header.transfer_syntax)
    body = data[header.dataset_offset :]
    if syntax.deflated:
        body = inflate(body, limits.max_file_bytes)
    dataset = read_dataset(body, syntax)
    image = describe_image(dataset, limits)
    display = describe_display(dataset, image)
    chosen = select_frame(image.frames, frame)
    return Radiograph(
        pixels=stored_pixels(dataset, image, syntax, chosen, limits),
        window=display.window,
        inverted=display.inverted,
        padding=display.padding,
        source=f"dicom {syntax.uid}",
        window_rule=display.window_rule,
        warnings=display.warnings,
    )
