"""Runs codecs in a child process with memory, CPU and time limits, so that a crash there is an error here.

The first compressed image starts a child (0.2 s or so), which stays and is replaced after a crash or a timeout. Calls
from several threads get a child each, up to the number of cores. A child sees one frame's bytes and the few numbers of
`CodecRequest`, and ends when this process does.
"""

from __future__ import annotations

import atexit
import os

from cxr_edge.decode.codec_pool import CodecPool
from cxr_edge.decode.codecs import CodecRequest, Samples
from cxr_edge.decode.limits import DecodeLimits

__all__ = ["SHARED", "run_isolated"]

SHARED = CodecPool()
"""The children of this process."""


def run_isolated(request: CodecRequest, data: bytes, limits: DecodeLimits) -> Samples:
    """The decoded samples, from a child process that all of this process shares. See `CodecPool.run`."""
    return SHARED.run(request, data, limits)


def _forget_after_fork() -> None:
    """In a forked copy of this process: its own child next time, since two may not talk through one pair of pipes."""
    global _INHERITED, SHARED
    _INHERITED, SHARED = SHARED, CodecPool()


_INHERITED: CodecPool | None = None
"""Kept so that a forked copy does not close, or warn about, what belongs to its parent."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(lambda: SHARED.close())
