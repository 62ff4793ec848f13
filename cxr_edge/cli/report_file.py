"""Where a report is to be written, checked before hours of measuring."""

from __future__ import annotations

from pathlib import Path

from cxr_edge.errors import OutputError

__all__ = ["refuse_unwritable"]


def refuse_unwritable(report: Path) -> None:
    """Return when the report can have a place there; measuring takes long, and would be for nothing.

    Raises:
        OutputError: its folder is missing, or a folder stands at its place.
    """
    if not report.absolute().parent.is_dir():
        raise OutputError(f"cannot write {report}: there is no folder {report.absolute().parent}")
    if report.is_dir():
        raise OutputError(f"cannot write {report}: it is a folder")
