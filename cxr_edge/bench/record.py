"""The bench's file: JSON lines, the machine first, then one line a cell, on the disk before the next cell starts."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_edge.atomic import output_errors
from cxr_edge.bench.environment import Machine
from cxr_edge.bench.grid import Cell
from cxr_edge.bench.measurement import Measurement
from cxr_edge.errors import CorruptInputError, UnsupportedInputError, UsageError

__all__ = ["SCHEMA", "Record", "RecordWriter", "SkippedCell", "read_record", "record_lines"]

SCHEMA = 1
"""Version of the lines. A record of another one is refused: figures that mean something else must not be compared."""


@dataclass(frozen=True, slots=True)
class SkippedCell:
    """What was wanted but not measured, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read.

    Attributes:
        name: of its file, without folders.
        machine: that it was made on.
        measurements: in the order in which they were made.
        skipped: what could not be measured.
    """

    name: str
    machine: Machine
    measurements: tuple[Measurement, ...]
    skipped: tuple[SkippedCell, ...]

    def by_cell(self) -> dict[Cell, list[Measurement]]:
        """The rounds of each cell, in the order in which cells first appear."""
        cells: dict[Cell, list[Measurement]] = {}
        for measurement in self.measurements:
            cells.setdefault(measurement.cell, []).append(measurement)
        return cells

    def pooled(self) -> tuple[Measurement, ...]:
        """One measurement a cell, its rounds together."""
        return tuple(Measurement.pooled(rounds) for rounds in self.by_cell().values())


def read_record(path: Path) -> Record:
    """The record in a file; a last line that was never finished is left out.

    Raises:
        CorruptInputError: the file cannot be read, or is no record of a bench.
        UnsupportedInputError: it has another schema version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptInputError(f"cannot read the record {path.name}: {error.__class__.__name__}") from error
    machine: Machine | None = None
    measurements, skipped = [], []
    for number, line in enumerate(complete_lines(text), 1):
        value = parsed(line, path.name, number)
        try:
            if value["kind"] == "machine":
                machine = Machine.from_json(value)
            elif value["kind"] == "skipped":
                skipped.append(SkippedCell(value["what"], value["reason"]))
            elif value["kind"] == "cell":
                measurements.append(Measurement.from_json(value))
        except (KeyError, TypeError) as error:
            raise CorruptInputError(f"line {number} of {path.name} is incomplete: {error}") from error
    if machine is None:
        raise CorruptInputError(f"{path.name} names no machine: it is no record of `cxr-edge bench`")
    return Record(path.name, machine, tuple(measurements), tuple(skipped))


def complete_lines(text: str) -> list[str]:
    """The lines that end with a newline; only a bench that was killed while writing leaves another."""
    return text.split("\n")[:-1]


def parsed(line: str, name: str, number: int) -> dict[str, Any]:
    """The JSON object in a line of this schema.

    Raises:
        CorruptInputError: not a JSON object with a kind.
        UnsupportedInputError: another schema version.
    """
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict) or "schema" not in value or "kind" not in value:
        raise CorruptInputError(f"line {number} of {name} is no line of a bench record")
    if value["schema"] != SCHEMA:
        raise UnsupportedInputError(
            f"{name} has schema {value['schema']!r}; this version reads schema {SCHEMA}: "
            "measure again, or use the version of cxr-edge that wrote it"
        )
    return value


def record_lines(record: Record) -> str:
    """The record as the text of its file."""
    lines = [_line("machine", record.machine.to_json())]
    lines += [_line("skipped", {"what": gap.what, "reason": gap.reason}) for gap in record.skipped]
    lines += [_line("cell", measurement.to_json()) for measurement in record.measurements]
    return "".join(lines)


class RecordWriter:
    """Appends to a record, new or begun earlier; every line is synced, so an interrupted bench keeps what it has.

    Args:
        path: the file; one that is there is continued.
        machine: must be the one that began the file.

    Raises:
        UsageError: the file was begun on another machine, by other versions or with another bundle.
        CorruptInputError, UnsupportedInputError: the file that is there is no record, or one of another schema.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, machine: Machine) -> None:
        self.path = path
        self._done: dict[tuple[Cell, int], Measurement] = {}
        self._skipped: set[SkippedCell] = set()
        if path.exists() and path.stat().st_size:
            self._continue(read_record(path), machine)
        else:
            self._append(_line("machine", machine.to_json()))

    def done(self, cell: Cell, number: int) -> Measurement | None:
        """What the file has for a cell in a round."""
        return self._done.get((cell, number))

    def add(self, measurement: Measurement) -> None:
        """Append a measurement.

        Raises:
            OutputError: it cannot be written.
        """
        self._append(_line("cell", measurement.to_json()))
        self._done[measurement.cell, measurement.round] = measurement

    def skip(self, gap: SkippedCell) -> None:
        """Append what could not be measured, once.

        Raises:
            OutputError: it cannot be written.
        """
        if gap not in self._skipped:
            self._append(_line("skipped", {"what": gap.what, "reason": gap.reason}))
            self._skipped.add(gap)

    def _continue(self, record: Record, machine: Machine) -> None:
        differences = record.machine.differences(machine)
        if differences:
            raise UsageError(
                f"{self.path} was begun elsewhere ({'; '.join(differences)}): "
                "give another --output, and compare the two with --compare"
            )
        self._done = {(one.cell, one.round): one for one in record.measurements}
        self._skipped = set(record.skipped)
        with output_errors(self.path), self.path.open("rb+") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)  # a line that was cut off would spoil the next one

    def _append(self, line: str) -> None:
        with output_errors(self.path), self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def _line(kind: str, value: dict[str, Any]) -> str:
    return json.dumps({"schema": SCHEMA, "kind": kind, **value}) + "\n"
