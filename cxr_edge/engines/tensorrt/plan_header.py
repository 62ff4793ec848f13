"""The first bytes of a plan: which TensorRT wrote it.

A library handed a plan of another major version ends the process instead of refusing it. Layout from NVIDIA's own
reader (NVIDIA/TensorRT, samples/common/sampleEngines.cpp, used by ``trtexec --getPlanVersionOnly``): a tag, a
serialisation version, and for serialisation version 0 major, minor, patch and build in bytes 24 to 27.
"""

from __future__ import annotations

import struct

from cxr_edge.engines.tensorrt.plan_key import version_numbers
from cxr_edge.errors import EngineError

__all__ = ["check_header", "written_by"]

TAG = 0x74727466
"""``ftrt`` as a little-endian number."""

HEADER_BYTES = 28


def written_by(plan: bytes) -> tuple[int, int, int, int] | None:
    """Version of the TensorRT that wrote a plan; None where the bytes have no layout that is documented."""
    if len(plan) < HEADER_BYTES:
        return None
    tag, layout = struct.unpack_from("<II", plan)
    if (tag, layout) != (TAG, 0):
        return None
    major, minor, patch, build = plan[24:HEADER_BYTES]
    return major, minor, patch, build


def check_header(plan: bytes, tensorrt: str) -> None:
    """Check that a plan is not of another major version than the TensorRT that is to load it.

    Raises:
        EngineError: it is, or it is shorter than a header.
    """
    if len(plan) < HEADER_BYTES:
        raise EngineError(f"the plan has only {len(plan)} bytes: build it again with `cxr-edge build --force`")
    version = written_by(plan)
    if version is not None and version[0] != version_numbers(tensorrt)[0]:
        raise EngineError(
            f"the plan was written by TensorRT {'.'.join(map(str, version))}, here is {tensorrt}: build it again with "
            "`cxr-edge build --force`"
        )
