from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cxr_edge.decode import codec_process
from cxr_edge.decode.codec_process import CodecProcess
from cxr_edge.decode.codecs import CodecRequest
from cxr_edge.decode.limits import DEFAULT_LIMITS, DecodeLimits
from cxr_edge.errors import CorruptInputError, ResourceLimitError, UsageError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops and kills the child with POSIX signals")

PNG = CodecRequest("png file", max_pixels=50_000_000)


@pytest.fixture
def codecs() -> Iterator[CodecProcess]:
    process = CodecProcess()
    yield process
    process.close()


@pytest.fixture
def content(grey: np.ndarray, saved: Callable[..., bytes]) -> bytes:
    return saved(grey, "PNG")


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def started(codecs: CodecProcess, content: bytes) -> int:
    codecs.run(PNG, content, DEFAULT_LIMITS)
    assert codecs.pid is not None
    return codecs.pid


def crash_while_decoding(codecs: CodecProcess, content: bytes, signal_number: int) -> None:
    """Stops the child, hands it an image, and lets it die of the signal while it has it."""
    pid = started(codecs, content)
    os.kill(pid, signal.SIGSTOP)
    killer = threading.Timer(0.2, lambda: [os.kill(pid, number) for number in (signal_number, signal.SIGCONT)])
    killer.start()
    try:
        codecs.run(PNG, content, DEFAULT_LIMITS)
    finally:
        killer.join()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_a_codec_crash_is_a_corrupt_input_and_the_next_image_decodes(
    name: str, codecs: CodecProcess, content: bytes, grey: np.ndarray
) -> None:
    with pytest.raises(CorruptInputError, match=name):
        crash_while_decoding(codecs, content, getattr(signal, name))
    np.testing.assert_array_equal(codecs.run(PNG, content, DEFAULT_LIMITS).pixels, grey)


def test_a_child_killed_by_the_system_is_a_resource_limit(codecs: CodecProcess, content: bytes) -> None:
    # Signals to a stopped process wait for SIGCONT, except SIGKILL; the second signal may find no process.
    pid = started(codecs, content)
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(ResourceLimitError, match="killed from outside"):
        codecs.run(PNG, content, DEFAULT_LIMITS)
    assert codecs.run(PNG, content, DEFAULT_LIMITS).precision == 8


def test_a_child_that_died_between_images_is_replaced_without_an_error(codecs: CodecProcess, content: bytes) -> None:
    first = started(codecs, content)
    os.kill(first, signal.SIGKILL)
    time.sleep(0.1)
    assert started(codecs, content) != first


def test_a_codec_that_hangs_is_stopped_at_the_time_limit(codecs: CodecProcess, content: bytes) -> None:
    os.kill(started(codecs, content), signal.SIGSTOP)
    with pytest.raises(ResourceLimitError, match=r"longer than 0\.3 s"):
        codecs.run(PNG, content, DecodeLimits(timeout_s=0.3))
    assert codecs.run(PNG, content, DEFAULT_LIMITS).precision == 8


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no limit on address space")
def test_an_image_that_needs_more_memory_than_allowed_is_refused(codecs: CodecProcess, content: bytes) -> None:
    large = content.replace(content[8:33], png_header(30_000, 30_000))
    limits = DecodeLimits(max_pixels=1_000_000_000, memory_mb=600)
    with pytest.raises(ResourceLimitError, match="memory"):
        codecs.run(CodecRequest("png file", limits.max_pixels), large, limits)
    assert codecs.run(PNG, content, DEFAULT_LIMITS).precision == 8


def test_an_error_reported_by_the_child_does_not_replace_it(codecs: CodecProcess, content: bytes) -> None:
    pid = started(codecs, content)
    with pytest.raises(CorruptInputError, match="truncated"):
        codecs.run(PNG, content[:-5], DEFAULT_LIMITS)
    assert started(codecs, content) == pid


def test_threads_take_turns_and_get_their_own_images(codecs: CodecProcess, saved: Callable[..., bytes]) -> None:
    contents = [saved(np.full((64, 64), value, np.uint8), "PNG") for value in range(24)]
    with ThreadPoolExecutor(8) as pool:
        decoded = list(pool.map(lambda data: codecs.run(PNG, data, DEFAULT_LIMITS).pixels[0, 0], contents))
    assert decoded == list(range(24))


def test_the_child_ends_with_its_parent_even_when_that_is_killed() -> None:
    script = (
        "import io, os, signal, numpy, PIL.Image; from cxr_edge.decode import decode, isolation;"
        "b = io.BytesIO(); PIL.Image.fromarray(numpy.eye(9, dtype='u1')).save(b, 'PNG'); decode(b.getvalue());"
        "print(isolation.SHARED.pids[0], flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert ends(int(run.stdout))


def ends(pid: int, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{pid}/stat") as status:  # an orphan nobody waits for is a zombie, not a running process
            if status.read().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        time.sleep(0.05)
    return False


def test_a_forked_copy_of_this_process_gets_a_child_of_its_own() -> None:
    script = (
        "import io, os, numpy, PIL.Image; from cxr_edge.decode import decode, isolation;"
        "b = io.BytesIO(); PIL.Image.fromarray(numpy.eye(9, dtype='u1')).save(b, 'PNG'); data = b.getvalue();"
        "decode(data); mine = isolation.SHARED.pids; copy = os.fork();\n"
        "if copy == 0:\n"
        "    decode(data); os._exit(isolation.SHARED.pids == mine)\n"
        "print(os.waitpid(copy, 0)[1], decode(data).pixels.sum())"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == ["0", "9"]


def test_modules_in_the_working_directory_are_not_run_by_the_child(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "struct.py").write_text("raise SystemExit('hijacked')")
    picture = tmp_path / "a.png"
    picture.write_bytes(content)
    package_root = str(Path(codec_process.__file__).parents[2])
    script = (
        f"import sys; sys.path.insert(0, {package_root!r}); "
        f"from cxr_edge.decode import decode; decode({str(picture)!r})"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr


def test_the_child_imports_neither_pydicom_nor_an_inference_runtime() -> None:
    script = "import sys, cxr_edge.decode.worker; print(*{'pydicom', 'onnxruntime', 'torch'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EAGAIN])
def test_a_system_without_room_for_a_child_is_a_resource_limit(
    number: int, codecs: CodecProcess, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", refuse)
        with pytest.raises(ResourceLimitError, match=os.strerror(number)):
            codecs.run(PNG, content, DEFAULT_LIMITS)
    assert codecs.run(PNG, content, DEFAULT_LIMITS).precision == 8


@pytest.mark.parametrize(("name", "value"), [("executable", ""), ("frozen", True)])
def test_a_program_without_an_interpreter_is_told_to_decode_in_its_own_process(
    name: str, value: object, codecs: CodecProcess, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, name, value, raising=False)
    with pytest.raises(UsageError, match="isolate=False"):
        codecs.run(PNG, content, DEFAULT_LIMITS)
    assert codecs.pid is None
