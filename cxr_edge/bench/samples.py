"""What is classified in a bench: a phantom in every form that devices send, or the user's own files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cxr_edge import gate
from cxr_edge.atomic import write_atomically
from cxr_edge.bench.sample_bytes import EIGHT_BIT_KINDS, FRAME, FRAME_BITS, SAMPLE_KINDS
from cxr_edge.decode import DEFAULT_LIMITS, decode, read_source
from cxr_edge.decode.sniff import sniff
from cxr_edge.errors import RefusedInputError, UnsupportedInputError, UsageError
from cxr_edge.gate import GateSpec
from cxr_edge.phantom import Phantom, PhantomSpec, render

__all__ = ["Sample", "make_samples", "parse_size", "read_samples"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One input of the bench.

    Attributes:
        input: its kind, or for a user's file ``file-`` with kind and hash: file names often hold patient names.
        frame: ``"rows x columns x bits"`` without spaces, bits those of the stored pixel type.
        path: where it lies; a raw frame as ``.npy``.
    """

    input: str
    frame: str
    path: Path


def make_samples(
    kinds: tuple[str, ...], rows: int, columns: int, folder: Path
) -> tuple[tuple[Sample, ...], tuple[tuple[str, str], ...]]:
    """The samples, and ``(kind, reason)`` of those that cannot be made or read here; files that are there are kept.

    Args:
        kinds: keys of `SAMPLE_KINDS`.
        rows: height of the frame, pixels.
        columns: width of the frame, pixels.
        folder: where the files go.

    Raises:
        UsageError: an unknown kind, or a size that no phantom can have.
        OutputError: the folder cannot be written to.
    """
    for kind in kinds:
        if kind not in SAMPLE_KINDS:
            raise UsageError(
                f"input {kind!r} is neither a file nor a kind of sample; the kinds are {', '.join(SAMPLE_KINDS)}"
            )
    picture: Phantom | None = None
    made, missing = [], []
    for kind in kinds:
        bits = 8 if kind in EIGHT_BIT_KINDS else FRAME_BITS
        sample = Sample(kind, f"{rows}x{columns}x{bits}", folder / f"{kind}-{rows}x{columns}.{_suffix(kind)}")
        try:
            if not sample.path.exists():
                picture = picture or render(PhantomSpec(height=rows, width=columns, bits_stored=FRAME_BITS))
                write_atomically(sample.path, SAMPLE_KINDS[kind](picture))
            if kind != FRAME:
                decode(sample.path)
            made.append(sample)
        except UnsupportedInputError as error:
            missing.append((kind, str(error)))
    return tuple(made), tuple(missing)


def read_samples(paths: tuple[Path, ...], gate_spec: GateSpec) -> tuple[Sample, ...]:
    """The user's own files, each looked at once, so that an unusable one is found before the hours of a grid.

    Raises:
        CorruptInputError, UnsupportedInputError, ResourceLimitError: a file cannot be decoded.
        RefusedInputError: the bundle's input gate refuses it, so that it would never be classified.
    """
    samples = []
    for path in paths:
        data = read_source(path, DEFAULT_LIMITS)
        radiograph = decode(data)
        report = gate.check(radiograph, gate_spec)
        if not report.passed:
            reasons = tuple(map(str, report.reasons))
            raise RefusedInputError(f"the input gate refuses a sample: {'; '.join(reasons)}", reasons)
        pixels = radiograph.pixels
        name = f"file-{sniff(data)}-{hashlib.sha256(data).hexdigest()[:12]}"
        samples.append(Sample(name, f"{pixels.shape[0]}x{pixels.shape[1]}x{8 * pixels.dtype.itemsize}", path.resolve()))
    return tuple(samples)


def parse_size(text: str) -> tuple[int, int]:
    """Rows and columns of ``"ROWSxCOLUMNS"``, pixels.

    Raises:
        UsageError: another form, or less than the input gate lets through.
    """
    rows, separator, columns = text.partition("x")
    if not (separator and rows.isdecimal() and columns.isdecimal() and min(int(rows), int(columns)) >= 224):
        raise UsageError(f"--size {text!r} is not usable: give rows and columns of at least 224, as in 3000x3000")
    return int(rows), int(columns)


def _suffix(kind: str) -> str:
    if kind == FRAME:
        return "npy"
    return "dcm" if kind.startswith("dicom") else kind
