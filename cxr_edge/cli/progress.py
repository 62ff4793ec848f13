"""How far a long command is, for whoever watches."""

from __future__ import annotations

import sys

__all__ = ["show_progress"]


def show_progress(done: int, total: int) -> None:
    """A counter in one line of standard error, where that is a terminal."""
    if sys.stderr.isatty():
        print(f"\r{done} of {total} images", end="\n" if done == total else "", file=sys.stderr, flush=True)
