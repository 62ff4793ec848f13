from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from cxr_edge.engines.device_cache import MAX_ARTEFACTS, ArtefactKey, DeviceCache, cache_folder
from cxr_edge.errors import OutputError

KEY = ArtefactKey(
    engine="openvino",
    precision="fp32",
    model_sha256="ab" * 32,
    runtime_version="2026.1",
    device="a processor",
    capability="FP32 INT8",
    driver="",
    input_shape="1x1x32x32",
    options=("NUM_STREAMS=1",),
)
COMPILED = b"compiled\nmodel\x00" * 100


@pytest.fixture
def cache(tmp_path: Path) -> DeviceCache:
    return DeviceCache(tmp_path / "new" / "cache")


def test_what_was_written_is_read(cache: DeviceCache) -> None:
    assert cache.read(KEY) is None
    cache.write(KEY, COMPILED)
    assert cache.read(KEY) == COMPILED


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ArtefactKey) if field.name != "options"])
def test_each_field_of_the_key_counts(cache: DeviceCache, field: str) -> None:
    cache.write(KEY, COMPILED)
    assert cache.read(dataclasses.replace(KEY, **{field: "other"})) is None


def test_the_options_count(cache: DeviceCache) -> None:
    cache.write(KEY, COMPILED)
    assert cache.read(dataclasses.replace(KEY, options=("NUM_STREAMS=2",))) is None


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_changed_byte_is_noticed(cache: DeviceCache, place: int) -> None:
    cache.write(KEY, COMPILED)
    damaged = bytearray(cache.path(KEY).read_bytes())
    damaged[place] ^= 1
    cache.path(KEY).write_bytes(damaged)
    assert cache.read(KEY) is None


@pytest.mark.parametrize("length", [0, 10, 200, -1])
def test_a_truncated_file_is_noticed_and_written_over(cache: DeviceCache, length: int) -> None:
    cache.write(KEY, COMPILED)
    cache.path(KEY).write_bytes(cache.path(KEY).read_bytes()[:length])
    assert cache.read(KEY) is None
    cache.write(KEY, COMPILED)
    assert cache.read(KEY) == COMPILED


def test_a_file_under_the_name_of_another_key_is_not_used(cache: DeviceCache) -> None:
    other = dataclasses.replace(KEY, model_sha256="cd" * 32)
    cache.write(other, COMPILED)
    cache.path(other).rename(cache.path(KEY))
    assert cache.read(KEY) is None


@pytest.mark.skipif(os.name != "posix", reason="owners and modes as POSIX has them")
def test_a_file_that_everybody_may_change_is_not_run(cache: DeviceCache) -> None:
    cache.write(KEY, COMPILED)
    cache.path(KEY).chmod(0o666)
    assert cache.read(KEY) is None


@pytest.mark.skipif(os.name != "posix", reason="owners and modes as POSIX has them")
def test_a_file_of_another_user_is_not_run(cache: DeviceCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write(KEY, COMPILED)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert cache.read(KEY) is None


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need rights elsewhere")
def test_a_symbolic_link_is_not_followed(cache: DeviceCache, tmp_path: Path) -> None:
    cache.write(KEY, COMPILED)
    cache.path(KEY).rename(tmp_path / "elsewhere")
    cache.path(KEY).symlink_to(tmp_path / "elsewhere")
    assert cache.read(KEY) is None


def test_a_directory_in_its_place_is_not_read(cache: DeviceCache) -> None:
    cache.path(KEY).mkdir(parents=True)
    assert cache.read(KEY) is None


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write"):
        DeviceCache(tmp_path / "file" / "cache").write(KEY, COMPILED)


def test_only_the_newest_are_kept(cache: DeviceCache) -> None:
    keys = [dataclasses.replace(KEY, device=str(number)) for number in range(MAX_ARTEFACTS + 2)]
    for age, key in enumerate(keys):
        cache.write(key, COMPILED)
        os.utime(cache.path(key), (age, age))
    assert [cache.read(key) is not None for key in keys] == [False, False] + [True] * MAX_ARTEFACTS


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("CXR_EDGE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("CXR_EDGE_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "cxr-edge"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "cxr-edge"


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CXR_EDGE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(OutputError, match="set CXR_EDGE_CACHE"):
        cache_folder()
