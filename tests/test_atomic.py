from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import OutputError


def test_the_file_holds_exactly_the_bytes_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomically(tmp_path / "result.json", b"\x00new")
    assert (tmp_path / "result.json").read_bytes() == b"\x00new"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_path_may_be_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically("result.json", b"new")
    assert (tmp_path / "result.json").read_bytes() == b"new"


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(b"a much longer old text")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_the_file_gets_the_mode_that_any_new_file_would_get(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "atomic", b"")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_failure_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OutputError, match=os.strerror(number)):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "result.json", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_and_a_folder_in_the_way_are_output_errors(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        write_atomically(tmp_path / "none" / "result.json", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder"):
        write_atomically(tmp_path / "folder", b"")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_name_of_255_bytes_with_spaces_and_other_scripts_is_written(tmp_path: Path) -> None:
    name = "Thorax ü 胸 " + "x" * 240
    name = name.encode()[:255].decode(errors="ignore")
    write_atomically(tmp_path / name, b"x")
    assert (tmp_path / name).read_bytes() == b"x"


def test_the_temporary_name_does_not_hold_the_final_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.extend(entry.name for entry in tmp_path.iterdir())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_atomically(tmp_path / "DOE^JANE.png", b"x")
    assert seen[0].startswith(".cxr-edge-")
    assert "JANE" not in seen[0]
