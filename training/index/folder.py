"""Finding a release on disk, and reading its folders and files with errors that say what is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cxr_edge.errors import DatasetError, UsageError
from training.index.records import DatasetKind

__all__ = ["find_release", "listed", "read_text", "reading_errors", "why_unusable"]

SIGNS: dict[DatasetKind, tuple[str, ...]] = {
    "shenzhen": ("CXR_png/CHNCXR_*.png",),
    "montgomery": ("CXR_png/MCUCXR_*.png",),
    "nih": ("Data_Entry_2017*.csv",),
}
"""What gives a release away, relative to its root folder."""

DESCRIPTIONS: dict[DatasetKind, str] = {
    "shenzhen": "CXR_png/CHNCXR_*.png",
    "montgomery": "CXR_png/MCUCXR_*.png",
    "nih": "Data_Entry_2017.csv or Data_Entry_2017_v2020.csv",
}


def find_release(folder: Path, kind: DatasetKind | None) -> tuple[DatasetKind, Path]:
    """Which release lies in a folder, and its root: the folder itself or one directly below.

    Args:
        folder: where the user unpacked the release.
        kind: the release to look for; None for any.

    Raises:
        DatasetError: the folder cannot be read, or holds no release of that kind.
        UsageError: several fit.
    """
    with reading_errors(folder):
        roots = [folder, *sorted(entry for entry in folder.iterdir() if entry.is_dir())]
    kinds: tuple[DatasetKind, ...] = (kind,) if kind else ("shenzhen", "montgomery", "nih")
    found = [(candidate, root) for candidate in kinds for root in roots if _holds(root, candidate)]
    if not found:
        wanted = "; ".join(f"{name}: {DESCRIPTIONS[name]}" for name in kinds)
        raise DatasetError(f"no release found in {folder} or the folders directly below; looked for {wanted}")
    if len(found) > 1:
        places = ", ".join(f"{name} in {root}" for name, root in found)
        raise UsageError(f"several releases found ({places}); name the kind and the release's own folder")
    return found[0]


def _holds(root: Path, kind: DatasetKind) -> bool:
    """Whether a release of this kind has its root here."""
    with reading_errors(root):
        return any(next(root.glob(sign), None) is not None for sign in SIGNS[kind])


def listed(folder: Path, pattern: str) -> list[Path]:
    """Files that match, sorted by name, without the hidden ones that macOS adds; empty where there is no folder.

    Raises:
        DatasetError: the folder cannot be read.
    """
    with reading_errors(folder):
        return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def read_text(path: Path) -> str:
    """The text of a file; bytes that are not UTF-8 are replaced, a byte order mark is dropped.

    Raises:
        DatasetError: the file cannot be read.
    """
    with reading_errors(path):
        return path.read_text(encoding="utf-8-sig", errors="replace")


def why_unusable(path: Path) -> str:
    """Why an image file cannot be indexed (empty, a dangling link, no permission), blank if it can."""
    try:
        return "" if path.stat().st_size else "the file is empty"
    except OSError as error:
        return f"the file cannot be read: {error.strerror or type(error).__name__}"


@contextlib.contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turn an operating-system error inside the block into a `DatasetError` that names ``path``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DatasetError(f"cannot read {path}: {reason}; check the path and its permissions") from error
