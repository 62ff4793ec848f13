from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cxr_edge.decode import shared_bytes
from cxr_edge.decode.codec_process import CodecProcess
from cxr_edge.decode.codecs import CodecRequest
from cxr_edge.decode.limits import DEFAULT_LIMITS
from cxr_edge.decode.shared_bytes import SharedBytes, SharedFrameMemory, SharedPair
from cxr_edge.decode.wire import WireError
from cxr_edge.errors import CorruptInputError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no files in memory")

PNG = CodecRequest("png file", max_pixels=50_000_000)


@pytest.fixture
def shared() -> Iterator[SharedBytes]:
    made = SharedBytes.create()
    assert made is not None
    yield made
    made.close()


@pytest.fixture
def codecs() -> Iterator[CodecProcess]:
    process = CodecProcess()
    yield process
    process.close()


def test_a_frame_put_in_on_one_side_comes_out_on_the_other(shared: SharedBytes) -> None:
    shared.reserve(1000)
    frame = SharedFrameMemory(shared.descriptor)((3, 5), np.uint16)
    frame[...] = np.arange(15).reshape(3, 5)
    seen = np.empty((3, 5), np.uint16)
    shared.read_into(seen.data.cast("B"))
    np.testing.assert_array_equal(seen, frame)


def test_memory_given_again_holds_nothing_of_the_image_before(shared: SharedBytes) -> None:
    shared.reserve(1000)
    memory = SharedFrameMemory(shared.descriptor)
    memory((4, 4), np.uint8)[...] = 7
    assert not memory((4, 4), np.uint8).any()


def test_a_frame_beyond_what_the_parent_reserved_is_refused(shared: SharedBytes) -> None:
    shared.reserve(100)
    with pytest.raises(MemoryError):
        SharedFrameMemory(shared.descriptor)((100, 100), np.uint8)


def test_a_child_that_shrinks_the_memory_harms_nobody_but_itself(shared: SharedBytes) -> None:
    shared.reserve(1000)
    os.ftruncate(shared.descriptor, 10)
    with pytest.raises(WireError, match="ended"):
        shared.read_into(memoryview(bytearray(100)))


def test_only_large_images_memory_goes_back(shared: SharedBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_bytes, "KEPT_BYTES", 64)
    shared.write(b"x" * 60)
    shared.release(60)
    assert os.fstat(shared.descriptor).st_blocks > 0
    shared.write(b"x" * 70)
    shared.release(70)
    assert os.fstat(shared.descriptor).st_blocks == 0


@pytest.mark.parametrize("transport", ["shared memory", "pipes"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_are_the_same_through_shared_memory_and_through_pipes(
    transport: str,
    dtype: type[np.unsignedinteger[Any]],
    codecs: CodecProcess,
    saved: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if transport == "pipes":
        monkeypatch.setattr(SharedBytes, "create", classmethod(lambda cls: None))
    for height in (7, 90, 31):  # larger and smaller than the memory that is there
        noise = np.random.default_rng(height).integers(0, np.iinfo(dtype).max, (height, 41))
        pixels: NDArray[Any] = noise.astype(dtype)
        np.testing.assert_array_equal(codecs.run(PNG, saved(pixels, "PNG"), DEFAULT_LIMITS).pixels, pixels)


def test_an_image_kept_by_the_caller_is_not_touched_by_the_next(
    codecs: CodecProcess, grey: np.ndarray, saved: Callable[..., bytes]
) -> None:
    kept = codecs.run(PNG, saved(grey, "PNG"), DEFAULT_LIMITS).pixels
    codecs.run(PNG, saved(255 - grey, "PNG"), DEFAULT_LIMITS)
    np.testing.assert_array_equal(kept, grey)


def test_rows_missing_from_a_damaged_file_are_not_the_image_before(
    codecs: CodecProcess, saved: Callable[..., bytes]
) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    codecs.run(PNG, saved(np.full((20, 20), 200, np.uint8), "PNG"), DEFAULT_LIMITS)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 20, 8, 0, 0, 0, 0))
    half = chunk(b"IDAT", zlib.compress((b"\0" + b"\x64" * 20) * 10))
    with pytest.raises(CorruptInputError):
        codecs.run(PNG, b"\x89PNG\r\n\x1a\n" + header + half + chunk(b"IEND", b""), DEFAULT_LIMITS)


def test_nothing_is_left_behind_when_parent_or_child_is_killed(tmp_path: Path) -> None:
    script = (
        "import io, os, signal, sys, time, numpy, PIL.Image; from cxr_edge.decode import decode, isolation;"
        "b = io.BytesIO(); PIL.Image.fromarray(numpy.eye(9, dtype='u1')).save(b, 'PNG'); decode(b.getvalue());"
        "os.kill(isolation.SHARED.pids[0], signal.SIGKILL); time.sleep(0.2); decode(b.getvalue());"
        "print({*os.listdir('/dev/shm')} <= {*sys.argv[1:]}, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    before = [path.name for path in Path("/dev/shm").iterdir()]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", script, *before],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert (run.returncode, run.stdout, run.stderr) == (-signal.SIGKILL, "True\n", "")
    assert not list(tmp_path.iterdir())


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_closed_process_leaves_no_descriptor_open(grey: np.ndarray, saved: Callable[..., bytes]) -> None:
    before = open_descriptors()
    for _ in range(2):
        process = CodecProcess()
        process.run(PNG, saved(grey, "PNG"), DEFAULT_LIMITS)
        process.close()
    assert open_descriptors() == before


def test_a_system_that_refuses_memory_files_uses_the_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "memfd_create", refuse)
    assert SharedBytes.create() is None
    assert SharedPair.create() is None


def test_a_limit_on_file_sizes_leaves_the_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (4096, 4096))
    assert SharedBytes.create() is None
