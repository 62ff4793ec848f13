from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxr_edge.decode import DecodeLimits, decode
from cxr_edge.errors import CorruptInputError, ResourceLimitError, UnsupportedInputError, UsageError


@pytest.mark.parametrize(
    "content", [b"", b"Chest X-ray of the thorax, PA", bytes(range(8)) * 40, b"BMI of 23 and so on"]
)
def test_what_is_no_image_is_corrupt(content: bytes) -> None:
    with pytest.raises(CorruptInputError):
        decode(content)


@pytest.mark.parametrize("file_format", ["BMP", "GIF", "TIFF", "WEBP", "JPEG2000", "PPM"])
def test_a_recognised_other_format_is_unsupported(file_format: str, saved: Callable[..., bytes]) -> None:
    with pytest.raises(UnsupportedInputError, match="not supported; convert it"):
        decode(saved(np.zeros((32, 32), np.uint8), file_format))


def test_a_bare_jpeg_2000_codestream_is_unsupported(saved: Callable[..., bytes]) -> None:
    with pytest.raises(UnsupportedInputError, match="codestream"):
        decode(saved(np.zeros((32, 32), np.uint8), "JPEG2000", no_jp2=True))


def test_contents_decide_not_the_extension(tmp_path: Path, grey: np.ndarray, saved: Callable[..., bytes]) -> None:
    path = tmp_path / "really a png.dcm"
    path.write_bytes(saved(grey, "PNG"))
    assert decode(path).source == "png"


def test_a_data_set_without_file_header_is_explained() -> None:
    bare = b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + b"\0" * 200
    with pytest.raises(CorruptInputError, match="PS3.10"):
        decode(bare)


@pytest.mark.parametrize("name", ["missing.png", ".", "nul\0.png"])
def test_an_unreadable_path_is_corrupt_and_its_name_stays_out_of_the_message(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorruptInputError, match="unreadable input") as caught:
        decode(f"{tmp_path}/{name}")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_would_block_for_ever_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorruptInputError, match="not a regular file"):
        decode(tmp_path / "pipe")


def test_a_file_above_the_byte_cap_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse tebibyte
    with pytest.raises(ResourceLimitError, match="max_file_bytes"):
        decode(path)


def test_bytes_above_the_byte_cap_are_refused() -> None:
    with pytest.raises(ResourceLimitError, match="limit is 10"):
        decode(b"\x89PNG\r\n\x1a\n" + b"\0" * 8, limits=DecodeLimits(max_file_bytes=10))


@pytest.mark.parametrize("bad", [{"max_pixels": 0}, {"timeout_s": -1.0}, {"memory_mb": 8}, {"timeout_s": float("nan")}])
def test_impossible_limits_are_a_usage_error(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="decode limit"):
        DecodeLimits(**bad)  # type: ignore[arg-type]
