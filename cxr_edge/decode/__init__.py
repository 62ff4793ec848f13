"""Image files to `Radiograph`: what the detector stored and how it displays, nothing resampled or rescaled.

PNG, JPEG and DICOM are recognised by their contents. Compressed data is decoded in a child process (isolation.py).
"""

from __future__ import annotations

import os

from cxr_edge.decode.limits import DEFAULT_LIMITS, REDUCED_SIDE, DecodeLimits
from cxr_edge.decode.sniff import SNIFFED_BYTES, sniff
from cxr_edge.decode.source import open_source, read_all, read_source
from cxr_edge.records import Radiograph

__all__ = ["DEFAULT_LIMITS", "REDUCED_SIDE", "DecodeLimits", "decode", "read_source"]


def decode(
    source: str | os.PathLike[str] | bytes, *, frame: int | None = None, limits: DecodeLimits = DEFAULT_LIMITS
) -> Radiograph:
    """The radiograph in a PNG, JPEG or DICOM file. Safe to call from several threads.

    Args:
        source: a path, or the file's contents.
        frame: which frame of a multi-frame DICOM image, counted from 0; without it several frames are refused.
        limits: what decoding may cost.

    Raises:
        CorruptInputError: unreadable, empty, truncated, damaged, written to meanwhile, or no image at all.
        UnsupportedInputError: another format, colour, transparency, or a DICOM feature that is not read; named.
        ResourceLimitError: larger than `limits`, or too slow.
        UsageError: the frame does not exist.
    """
    with open_source(source, limits) as contents:
        kind = sniff(contents.read(0, SNIFFED_BYTES))
        # Imported here because the codec process runs inside this package and needs neither.
        if kind == "dicom":
            from cxr_edge.decode.dicom import decode_dicom

            return decode_dicom(contents, frame, limits)
        data = source if isinstance(source, bytes) else read_all(contents)
    from cxr_edge.decode.raster_radiograph import decode_raster

    return decode_raster(data, kind, frame, limits)
