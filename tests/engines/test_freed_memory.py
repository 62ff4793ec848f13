"""Memory that loading a model left behind goes back to the system."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path

import pytest

from cxr_edge.engines import freed_memory
from cxr_edge.engines.freed_memory import return_freed_memory

BLOCK, BLOCKS = 100_000, 400
"""Blocks below glibc's threshold of 128 kB, above which memory never comes from the heap."""


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the call is glibc's")
def test_what_was_freed_below_memory_in_use_is_given_back() -> None:
    c = ctypes.CDLL(None)
    if not hasattr(c, "malloc_trim"):
        pytest.skip("this C library has no malloc_trim")
    c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, (ctypes.c_size_t,), (ctypes.c_void_p,)
    blocks = [c.malloc(BLOCK) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for block in blocks[:-1]:  # the last one keeps the end of the heap in use, as a runtime's weights do
        c.free(block)
    held = resident_bytes()
    assert return_freed_memory()
    assert resident_bytes() < held - BLOCK * BLOCKS // 2
    c.free(blocks[-1])


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_memory.sys, "platform", "darwin")
    assert not return_freed_memory()
    monkeypatch.setattr(freed_memory.sys, "platform", "linux")
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda name: object())
    assert not return_freed_memory()
