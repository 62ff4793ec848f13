"""Caps on what one input may cost. They are checked against headers before anything of that size is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from cxr_edge.errors import ResourceLimitError, UsageError

__all__ = ["DEFAULT_LIMITS", "REDUCED_SIDE", "DecodeLimits", "check_frame_size"]

MAX_SIDE = 65_535
"""Longest side of a frame, pixels: what DICOM's Rows and Columns can say; preprocessing's sums are exact up to here."""

REDUCED_SIDE = 896
"""Shorter side that `cxr-edge classify --reduced-decode` keeps, pixels: four times a network's input of 224."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What decoding one input may cost.

    Attributes:
        max_file_bytes: largest file, and largest data set that a deflated DICOM file may inflate to.
        max_pixels: largest frame, rows x columns. Chest radiographs have 4 to 20 million.
        max_frames: largest NumberOfFrames; only one frame is ever decoded.
        isolate: run compressed codecs (PNG, JPEG, JPEG 2000, RLE) in a child process, so that a crash or a memory
            bomb there cannot harm this one. False decodes in this process, without `timeout_s` and `memory_mb`.
        timeout_s: longest time of one codec run, seconds, wall clock and CPU alike.
        memory_mb: address space of the child process, MiB; enforced where the platform has POSIX resource limits.
        reduce_to: a JPEG 2000 frame may come back 2, 4 or 8 times smaller in each direction, whichever is smallest
            that leaves both sides at least so many pixels; the radiograph says so. Several times faster, but the
            probabilities change a little: see docs/inputs.md. None decodes every pixel.

    Raises:
        UsageError: a cap that is not positive, or less memory than the child needs to start.
    """

    max_file_bytes: int = 256 * 2**20
    max_pixels: int = 50_000_000
    max_frames: int = 10_000
    isolate: bool = True
    timeout_s: float = 30.0
    memory_mb: int = 2048
    reduce_to: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_file_bytes", "max_pixels", "max_frames", "timeout_s"):
            if not getattr(self, name) > 0:
                raise UsageError(f"decode limit {name}={getattr(self, name)} must be positive")
        if self.reduce_to is not None and self.reduce_to < 1:
            raise UsageError(f"decode limit reduce_to={self.reduce_to} must be positive, or None for full size")
        if self.memory_mb < 256:
            raise UsageError(f"decode limit memory_mb={self.memory_mb} is too small; the codec process needs 256 MiB")


DEFAULT_LIMITS = DecodeLimits()


def check_frame_size(rows: int, columns: int, max_pixels: int) -> None:
    """Nothing; a frame within the caps passes. Call it with a header's numbers, before any pixel is decoded.

    Raises:
        ResourceLimitError: more than `max_pixels` pixels, or a side above 65,535.
    """
    if rows * columns > max_pixels:
        raise ResourceLimitError(
            f"the image has {columns} x {rows} pixels; the limit is {max_pixels} (DecodeLimits.max_pixels)"
        )
    if max(rows, columns) > MAX_SIDE:
        raise ResourceLimitError(f"the image has {columns} x {rows} pixels; the longest side may have {MAX_SIDE}")
