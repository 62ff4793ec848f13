"""Where a codec runs: in the child process, or in this one when isolation is turned off."""

from __future__ import annotations

from cxr_edge.decode.codecs import CodecRequest, Samples, run_codec
from cxr_edge.decode.isolation import run_isolated
from cxr_edge.decode.limits import DecodeLimits

__all__ = ["decoded_samples"]


def decoded_samples(request: CodecRequest, data: bytes, limits: DecodeLimits) -> Samples:
    """The decoded samples of one frame; the same numbers wherever the codec runs.

    Raises:
        CorruptInputError, UnsupportedInputError, ResourceLimitError: see `run_codec` and `CodecProcess.run`.
    """
    if limits.isolate:
        return run_isolated(request, data, limits)
    return run_codec(request, data)
