"""Libraries that log, draw progress bars and write files: what they say is kept out of the command's output."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError

__all__ = ["check_range_images", "quiet", "scratch_directory"]


@contextlib.contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Inside the block: no warnings, nothing on standard output and error from Python, only errors logged.

    Args:
        loggers: names of the loggers to raise to ERROR; ``""`` is the root.
    """
    levels = {name: logging.getLogger(name).level for name in loggers}
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for name in loggers:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory that is gone after the block, with whatever was left in it."""
    with TemporaryDirectory(prefix="cxr-edge-int8-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def check_range_images(images: NDArray[np.float32]) -> None:
    """Return when these can be network inputs to measure ranges on.

    Raises:
        UsageError: none, of another shape or type, or with numbers that are not finite.
    """
    if images.ndim != 4 or len(images) == 0 or images.dtype != np.float32:
        raise UsageError(f"range images must be float32 [N, 1, H, W], N >= 1; got {images.dtype} {images.shape}")
    if not np.isfinite(images).all():
        raise UsageError("range images hold NaN or infinity, which preprocessing never gives")
