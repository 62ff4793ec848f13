from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from cxr_edge.decode import codec_pool
from cxr_edge.decode.codec_pool import CodecPool
from cxr_edge.decode.codec_process import CodecProcess
from cxr_edge.decode.codecs import CodecRequest, Samples
from cxr_edge.decode.limits import DEFAULT_LIMITS

PNG = CodecRequest("png file", max_pixels=50_000_000)


class Meeting(CodecProcess):
    """A codec process whose runs wait until so many are under way at once."""

    together = threading.Barrier(2, timeout=10)

    def run(self, *_: object) -> Samples:
        self.together.wait()
        return Samples(np.zeros((1, 1), np.uint8), 8)


def in_threads(count: int, pool: CodecPool) -> list[Samples]:
    results: list[Samples] = []
    threads = [
        threading.Thread(target=lambda: results.append(pool.run(PNG, b"", DEFAULT_LIMITS))) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


def test_images_of_several_threads_are_decoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_pool, "CodecProcess", Meeting)
    assert len(in_threads(6, CodecPool(2))) == 6


def test_one_thread_starts_one_process(grey: np.ndarray, saved: Callable[..., bytes]) -> None:
    pool = CodecPool(4)
    assert list(pool.pids) == []
    try:
        for _ in range(3):
            np.testing.assert_array_equal(pool.run(PNG, saved(grey, "PNG"), DEFAULT_LIMITS).pixels, grey)
        assert len(pool.pids) == 1
    finally:
        pool.close()
    assert list(pool.pids) == []


def test_a_failed_image_gives_its_process_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(CodecProcess):
        def run(self, *_: object) -> Samples:
            raise MemoryError

    monkeypatch.setattr(codec_pool, "CodecProcess", Failing)
    pool = CodecPool(1)
    for _ in range(3):  # the second would wait for ever
        with pytest.raises(MemoryError):
            pool.run(PNG, b"", DEFAULT_LIMITS)
