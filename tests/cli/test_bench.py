"""The command line of the bench, with the tiny bundle: what it prints, keeps, and refuses with which code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import cxr_edge.cli.bench  # noqa: F401 - registers the command
import cxr_edge.cli.info  # noqa: F401 - an application of one command would swallow its name
from cxr_edge.cli.application import app

FIELDS = {"schema", "engine", "precision", "threads", "stage", "input", "n", "load_ms", "rss_mb"} | {
    f"{name}_ms" for name in ("p50", "p90", "p99", "max")
}
SHORT = ("--repetitions", "2", "--warm-up", "0", "--seconds", "5", "--size", "240x240", "--threads", "1")


@pytest.fixture
def bench(tiny_bundle: Path):  # type: ignore[no-untyped-def]
    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["bench", "--bundle", str(tiny_bundle), *map(str, (*SHORT, *arguments))])

    return run


def record_of(path: Path, sleep_ms: float = 0.0) -> Path:
    """A copy of a record beside it, every repetition slower by some milliseconds."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["kind"] == "cell":
            line["repetitions_ms"] = [ms + sleep_ms for ms in line["repetitions_ms"]]
    copy = path.with_name(f"slower-{sleep_ms}.jsonl")
    copy.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return copy


def test_a_bench_prints_a_line_a_cell_keeps_a_record_and_compares_it(bench, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    record = tmp_path / "bench.jsonl"
    grid = ("--stage", "decode,end-to-end", "--input", "dicom", "--engine", "onnxruntime", "--output", record)
    result = bench(*grid, "--json", "--pictures", tmp_path / "pictures")
    assert result.exit_code == 0, result.output
    cells = [json.loads(line) for line in result.stdout.splitlines()]
    assert [cell["stage"] for cell in cells] == ["decode", "end-to-end"]
    assert all(set(cell) >= FIELDS and cell["n"] == 2 for cell in cells)
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"latency.png", "stages.png"}

    before = record.read_bytes()
    again = bench(*grid)
    assert again.exit_code == 0 and "end-to-end" in again.stdout
    assert record.read_bytes() == before, "a finished record was measured again"

    same, slower = record_of(record), record_of(record, 1000.0)
    assert bench("--compare", record, same).exit_code == 0
    regression = bench("--compare", record, slower)
    assert regression.exit_code == 11 and "slower" in regression.stdout
    (first, _) = (json.loads(line) for line in bench("--compare", record, slower, "--json").stdout.splitlines())
    assert first["verdict"] == "slower" and first["ratio_low"] > 1.05
    assert bench("--compare", slower, record).exit_code == 0


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--repetitions", "0"], 2, "give at least 1"),
        (["--rounds", "0"], 2, "give at least 1"),
        (["--seconds", "0"], 2, "positive"),
        (["--threads", "0"], 2, "threads must be 1 to"),
        (["--threads", "100000"], 2, "threads must be 1 to"),
        (["--threads", "many"], 2, "no whole number"),
        (["--batch", "0"], 2, "at least 1"),
        (["--stage", "dekode"], 2, "known are import"),
        (["--engine", "abacus"], 2, "unknown"),
        (["--engine", "onnxruntime", "--precision", "int8"], 7, "holds no int8 model"),
        (["--precision", "int8"], 7, "int8"),
        (["--input", "pgn"], 2, "the kinds are frame, png"),
        (["--size", "10x10"], 2, "at least 224"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(  # type: ignore[no-untyped-def]
    bench, tmp_path: Path, options: list[str], code: int, words: str
) -> None:
    result = bench("--input", "dicom", "--output", tmp_path / "bench.jsonl", *options)
    assert result.exit_code == code, result.output
    assert words in result.stderr and "Traceback" not in result.output


def test_a_grid_without_a_cell_is_refused(bench) -> None:  # type: ignore[no-untyped-def]
    result = bench("--stage", "decode", "--input", "frame")
    assert result.exit_code == 2 and "no cell" in result.stderr


def test_an_unreadable_sample_and_a_missing_one_are_3(bench, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "Planted^Name.dcm").write_bytes(b"hello, this is no image")
    for name in ("Planted^Name.dcm", "Missing^Name.dcm"):
        result = bench("--input", tmp_path / name)
        assert result.exit_code == 3 and "Name" not in result.output


def test_records_that_cannot_be_compared_have_their_codes(bench, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "text.jsonl").write_text("hello\n")
    (tmp_path / "newer.jsonl").write_text('{"schema": 99, "kind": "machine"}\n')
    for name, code in (("text", 3), ("newer", 4), ("missing", 3)):
        assert bench("--compare", tmp_path / f"{name}.jsonl", tmp_path / "text.jsonl").exit_code == code
    assert bench("--stage", "import", "--output", tmp_path / "newer.jsonl").exit_code == 4
    assert (tmp_path / "newer.jsonl").read_text() == '{"schema": 99, "kind": "machine"}\n'


def test_compare_takes_no_output(bench, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert bench("--compare", tmp_path / "a", tmp_path / "b", "--output", tmp_path / "c").exit_code == 2
