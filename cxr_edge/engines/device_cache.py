"""Compiled models kept between runs on this device, under a key of everything that they depend on.

They are caches and nothing else: each one can be deleted at any time, and one that is missing, stale, damaged or
written by someone else is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.errors import OutputError

__all__ = ["ArtefactKey", "DeviceCache", "cache_folder", "open_own"]

MAGIC = b"cxr-edge compiled model 1\n"
MAX_HEADER_BYTES = 1 << 16
MAX_ARTEFACTS = 8
"""How many compiled models of one engine are kept, for a few precisions and thread counts; 28 MB each in FP32."""


@dataclass(frozen=True, slots=True)
class ArtefactKey:
    """What a compiled model depends on: where one field differs, the model is compiled anew.

    Attributes:
        engine: its name in the table.
        precision: of the model file.
        model_sha256: of the model file, as the bundle's manifest lists it.
        runtime_version: with the build's hash where the runtime tells it.
        device: its full name, such as ``"AMD EPYC"``.
        capability: instruction sets or compute capability, as the runtime names them.
        driver: version of the device's driver; empty on a CPU.
        input_shape: such as ``"1x1x224x224"``; with its batch profile where it has one.
        options: the settings that the runtime compiled with, ``name=value``, sorted.
    """

    engine: str
    precision: str
    model_sha256: str
    runtime_version: str
    device: str
    capability: str
    driver: str
    input_shape: str
    options: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all fields, lower-case hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class DeviceCache:
    """Compiled models in one folder, a file each. Safe for several processes: files appear and disappear whole.

    A compiled model is executed, so only a file that this user owns and that not everybody can write is read, and its
    contents must have the SHA-256 that was written with them: runtimes crash on damaged ones instead of refusing them.

    Args:
        folder: where it lies; made at the first `write`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: ArtefactKey) -> Path:
        """Where the compiled model of a key lies, or would."""
        return self.folder / key.engine / f"{key.precision}-{key.digest[:32]}.bin"

    def read(self, key: ArtefactKey) -> bytes | None:
        """The compiled model of exactly this key; None when there is none that can be trusted to be whole."""
        try:
            with open_own(self.path(key)) as file:
                return _payload(file, key)
        except (OSError, ValueError):  # missing, unreadable, foreign or damaged: all mean "compile it"
            return None

    def write(self, key: ArtefactKey, compiled: bytes) -> None:
        """Keep a compiled model, and drop the engine's oldest ones beyond `MAX_ARTEFACTS`.

        Raises:
            OutputError: the folder cannot be made or written; nothing half-written is left.
        """
        path = self.path(key)
        with output_errors(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, b"".join((MAGIC, _header(key, compiled), compiled)))
        _drop_oldest(path)


def cache_folder() -> Path:
    """Where this user's compiled models lie: $CXR_EDGE_CACHE, else cxr-edge in $XDG_CACHE_HOME, else ~/.cache/cxr-edge.

    Raises:
        OutputError: no variable is set and this user has no home directory, as in some containers.
    """
    named = os.environ.get("CXR_EDGE_CACHE")
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117 - the XDG specification ignores relative paths, and "" is none
        return Path(base) / "cxr-edge"
    try:
        return Path.home() / ".cache" / "cxr-edge"
    except RuntimeError as error:
        raise OutputError("this user has no home directory for a cache: set CXR_EDGE_CACHE to a folder") from error


def open_own(path: Path) -> BinaryIO:
    """The file, opened for reading, if this user owns it and not everybody can write it.

    Raises:
        OSError: it cannot be opened, or is a symbolic link.
        ValueError: it is no plain file, of another owner, or open to everybody's changes.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)), "rb")
    status = os.fstat(file.fileno())
    owned = os.name != "posix" or (status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWOTH)
    if not (owned and stat.S_ISREG(status.st_mode)):
        file.close()
        raise ValueError("not this user's own file")
    return file


def _payload(file: BinaryIO, key: ArtefactKey) -> bytes:
    """What stands behind the header.

    Raises:
        ValueError: the header is another one's, or the contents are not those that were written.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("no compiled model of this format")
    header = file.readline(MAX_HEADER_BYTES)
    compiled = file.read()
    if header != _header(key, compiled):  # compared, not parsed: nothing in a damaged file is interpreted
        raise ValueError("damaged, or of another key")
    return compiled


def _header(key: ArtefactKey, compiled: bytes) -> bytes:
    """One line of JSON; for people, too, who want to know what a file is."""
    fields = {"key": asdict(key), "bytes": len(compiled), "sha256": hashlib.sha256(compiled).hexdigest()}
    return json.dumps(fields, sort_keys=True).encode() + b"\n"


def _drop_oldest(newest: Path) -> None:
    """Delete all but the newest compiled models beside this one; one that another process deletes first is no fault."""
    with contextlib.suppress(OSError):
        files = sorted(newest.parent.glob("*.bin"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in [path for path in files if path != newest][MAX_ARTEFACTS - 1 :]:
            path.unlink(missing_ok=True)
