from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cxr_edge.bench.environment import Machine
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.record import SCHEMA, RecordWriter, SkippedCell, read_record, record_lines
from cxr_edge.errors import CorruptInputError, OutputError, UnsupportedInputError, UsageError

Make = Callable[..., Measurement]


@pytest.fixture
def path(tmp_path: Path, machine: Machine, measurement: Make) -> Path:
    """A record of two rounds of one cell and a skipped one."""
    writer = RecordWriter(tmp_path / "bench.jsonl", machine)
    writer.skip(SkippedCell("tensorrt fp16", "not installed"))
    writer.add(measurement([1.25, 2.5, 1.0]))
    writer.add(measurement([3.0], number=1))
    return writer.path


def test_what_was_written_is_read_back_to_the_last_bit(path: Path, machine: Machine, measurement: Make) -> None:
    record = read_record(path)
    assert record.machine == machine
    assert record.measurements == (measurement([1.25, 2.5, 1.0]), measurement([3.0], number=1))
    assert record.skipped == (SkippedCell("tensorrt fp16", "not installed"),)
    assert record_lines(record).count("\n") == 4


def test_rounds_of_a_cell_are_pooled(path: Path) -> None:
    (pooled,) = read_record(path).pooled()
    assert pooled.repetitions_ms == (1.25, 2.5, 1.0, 3.0) and pooled.summary.n == 4


def test_every_line_of_a_cell_has_the_promised_fields(path: Path) -> None:
    wanted = "engine precision threads stage input p50_ms p90_ms p99_ms max_ms load_ms rss_mb n repetitions_ms"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["schema"] for line in lines} == {SCHEMA}
    assert all(set(wanted.split()) <= set(line) for line in lines if line["kind"] == "cell")


def test_a_record_is_continued_after_a_line_that_was_cut_off(path: Path, machine: Machine, measurement: Make) -> None:
    with path.open("a") as file:
        file.write('{"schema": 1, "kind": "cell", "stage": "inf')
    assert len(read_record(path).measurements) == 2
    writer = RecordWriter(path, machine)
    cell = measurement([1.0]).cell
    assert writer.done(cell, 1) is not None and writer.done(cell, 2) is None
    writer.add(measurement([4.0], number=2))
    writer.skip(SkippedCell("tensorrt fp16", "not installed"))
    record = read_record(path)
    assert [one.round for one in record.measurements] == [0, 1, 2] and len(record.skipped) == 1


def test_another_machine_or_commit_cannot_go_on(path: Path, machine: Machine) -> None:
    with pytest.raises(UsageError, match="commit: 0123456789ab -> fedcba"):
        RecordWriter(path, replace(machine, commit="fedcba"))


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, "1"])
def test_another_schema_version_is_refused_by_name(path: Path, machine: Machine, schema: object) -> None:
    lines = [{**json.loads(line), "schema": schema} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UnsupportedInputError, match=f"has schema {schema!r}; this version reads schema {SCHEMA}"):
        read_record(path)
    before = path.read_bytes()
    with pytest.raises(UnsupportedInputError):
        RecordWriter(path, machine)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    ["", "hello\n", "[1]\n", '{"schema": 1, "kind": "machine"}\n', '{"schema": 1, "kind": "cell"}\n', "\xff\n"],
)
def test_what_is_no_record_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.jsonl").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptInputError):
        read_record(tmp_path / "x.jsonl")


def test_a_record_that_cannot_be_written_is_an_output_error(tmp_path: Path, machine: Machine) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        RecordWriter(tmp_path / "nowhere" / "bench.jsonl", machine)
