"""The record: the bench's JSON lines, with lines of the engine's own programs after them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from cxr_edge.atomic import output_errors
from cxr_edge.bench.record import SCHEMA, Record, complete_lines, parsed, read_record
from cxr_edge.errors import CorruptInputError

__all__ = ["EngineRecord", "Kind", "Layers", "Library", "Line", "Opening", "append", "line_text", "read_engine_record"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of operation in an inference.

    Attributes:
        kind: its name, such as ``"1x1"``.
        mmac: millions of multiply-adds that are done.
        us, fastest_us: sums of its operations' medians and of their fastest runs, microseconds.
        gmac_per_s: by the medians.
    """

    kind: str
    mmac: float
    us: float
    fastest_us: float
    gmac_per_s: float


@dataclass(frozen=True, slots=True)
class Layers:
    """What ``engine_layers`` printed, without the single operations.

    Attributes:
        kernel: that computed.
        threads: that shared an inference.
        vnni_peak_gmac_per_s: measured in the same process on as many threads; 0 where the processor has no VNNI.
        inference_us_median: of whole inferences without clocks inside, microseconds.
        kinds: in the order of the network.
    """

    kernel: str
    threads: int
    vnni_peak_gmac_per_s: float
    inference_us_median: float
    kinds: tuple[Kind, ...]

    @property
    def mmac(self) -> float:
        """Millions of multiply-adds of an inference."""
        return sum(kind.mmac for kind in self.kinds)

    @property
    def gmac_per_s(self) -> float:
        """Of whole inferences."""
        return self.mmac * 1e3 / self.inference_us_median

    def share(self, gmac_per_s: float) -> float | None:
        """Part of the measured peak; None where there is none to compare with."""
        return gmac_per_s / self.vnni_peak_gmac_per_s if self.vnni_peak_gmac_per_s > 0 else None


@dataclass(frozen=True, slots=True)
class Opening:
    """Opening the engine in one process, again and again, and inferring.

    Attributes:
        program: ``"C"`` or ``"Python"``.
        threads: that share an inference.
        open_ms: each opening, the process's first one first; in C, of the file; in Python, of an opened bundle's
            engine.
        first_ms: the first inference after each opening.
        inference_ms: those after the last one, in order.
        rss_mb: resident after all, megabytes of 2**20 bytes; None where the platform does not tell.
    """

    program: str
    threads: int
    open_ms: tuple[float, ...]
    first_ms: tuple[float, ...]
    inference_ms: tuple[float, ...]
    rss_mb: float | None


@dataclass(frozen=True, slots=True)
class Library:
    """The installed extension with everything in it, bytes; ``stripped`` is None where there is no ``strip``."""

    as_installed: int
    stripped: int | None


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """A record as it was read; what was not measured is empty or None."""

    bench: Record
    layers: tuple[Layers, ...]
    openings: tuple[Opening, ...]
    library: Library | None


Line = Layers | Opening | Library
KINDS: Mapping[str, type[Line]] = {"layers": Layers, "opening": Opening, "library": Library}
Read = TypeVar("Read", bound=Layers | Opening | Library | Kind)


def append(path: Path, line: Line) -> None:
    """Add a line to a record that the bench's writer has begun.

    Raises:
        OutputError: it cannot be written.
    """
    with output_errors(path), path.open("ab") as file:
        file.write(line_text(line).encode())
        file.flush()
        os.fsync(file.fileno())


def line_text(line: Line) -> str:
    """The line as it stands in a record."""
    kind = next(name for name, cls in KINDS.items() if isinstance(line, cls))
    return json.dumps({"schema": SCHEMA, "kind": kind, **asdict(line)}) + "\n"


def read_engine_record(path: Path) -> EngineRecord:
    """The record in a file.

    Raises:
        CorruptInputError: no record, or one with an incomplete line.
        UnsupportedInputError: another schema version.
    """
    bench = read_record(path)
    found: list[Line] = []
    for number, line in enumerate(complete_lines(path.read_text(encoding="utf-8")), 1):
        value = parsed(line, path.name, number)
        if value["kind"] in KINDS:
            try:
                found.append(from_json(KINDS[value["kind"]], value))
            except (KeyError, TypeError) as error:
                raise CorruptInputError(f"line {number} of {path.name} is incomplete: {error}") from error
    return EngineRecord(
        bench,
        tuple(one for one in found if isinstance(one, Layers)),
        tuple(one for one in found if isinstance(one, Opening)),
        next((one for one in found if isinstance(one, Library)), None),
    )


def from_json(cls: type[Read], value: Mapping[str, Any]) -> Read:
    """The dataclass from a mapping that has at least its fields; lists become tuples.

    Raises:
        KeyError: a field is missing.
    """
    found: dict[str, Any] = {field.name: value[field.name] for field in fields(cls)}
    if "kinds" in found:
        found["kinds"] = tuple(from_json(Kind, kind) for kind in found["kinds"])
    plain: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in found.items()}
    return cls(**plain)
