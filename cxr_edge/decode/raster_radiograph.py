"""A PNG or JPEG file to a `Radiograph`: the codec's grey values, displayed over their full range."""

from __future__ import annotations

from cxr_edge.decode.codecs import CodecName, CodecRequest
from cxr_edge.decode.decoding import decoded_samples
from cxr_edge.decode.limits import DecodeLimits
from cxr_edge.decode.sniff import InputFormat
from cxr_edge.errors import UsageError
from cxr_edge.records import Radiograph, full_range

__all__ = ["decode_raster"]

CODECS: dict[InputFormat, CodecName] = {"jpeg": "jpeg file", "png": "png file"}


def decode_raster(data: bytes, kind: InputFormat, frame: int | None, limits: DecodeLimits) -> Radiograph:
    """The radiograph in a PNG or JPEG file. High values are white; the window is the full range of 8 or 16 bits.

    Raises:
        CorruptInputError, UnsupportedInputError, ResourceLimitError: see raster.py.
        UsageError: a frame other than 0.
    """
    if frame not in (None, 0):
        raise UsageError(f"frame {frame} does not exist; a {kind.upper()} file has one, numbered 0")
    samples = decoded_samples(CodecRequest(CODECS[kind], limits.max_pixels), data, limits)
    return Radiograph(
        pixels=samples.pixels,
        window=full_range(samples.precision, signed=False),
        source=kind,
        window_rule="bits stored",
    )
