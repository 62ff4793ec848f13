"""The engine's section made from records: which figure reaches which target, and what is not guessed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from benchmarks.native_engine_page.__main__ import make_section, publish
from benchmarks.native_engine_page.page import BEGIN, END, record_text, with_section
from benchmarks.native_engine_page.record import (
    EngineRecord,
    Kind,
    Layers,
    Library,
    Opening,
    append,
    read_engine_record,
)
from benchmarks.native_engine_page.targets import targets
from cxr_edge.bench.environment import Machine
from cxr_edge.bench.grid import Cell
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.memory import Memory
from cxr_edge.bench.record import Record, record_lines
from cxr_edge.errors import CorruptInputError, UsageError

KINDS = (Kind("1x1", 90.0, 450.0, 440.0, 200.0), Kind("head", 0.0, 1.0, 1.0, 0.0))
ONE_CORE = Layers("avx512-vnni", 1, 220.0, 450.0, KINDS)
TWO_CORES = Layers("avx512-vnni", 2, 440.0, 230.0, KINDS)
IN_C = Opening("C", 1, (9.0,) * 5, (6.0,) * 5, (6.0,) * 200, 12.0)
IN_PYTHON = Opening("Python", 1, (19.0,) * 5, (6.0,) * 5, (6.0,) * 200, 60.0)


@pytest.fixture
def record(machine: Machine, measurement: Callable[..., Measurement]) -> EngineRecord:
    def one(engine: str, threads: int, ms: float) -> Measurement:
        cell = Cell("infer", engine, "int8", threads, "tensor", None)
        return measurement([ms] * 100, cell, memory=Memory(60.0, 70.0, 0.0))

    cells = (one("native", 1, 7.9), one("openvino", 1, 10.0), one("native", 2, 4.0), one("openvino", 2, 6.0))
    openings = (IN_C, IN_PYTHON)
    return EngineRecord(
        Record("x.jsonl", machine, cells, ()), (ONE_CORE, TWO_CORES), openings, Library(320_000, 310_000)
    )


def verdicts(record: EngineRecord) -> dict[str, bool | None]:
    return {target.what: target.met for target in targets(record)}


def test_a_record_that_reaches_every_target_has_them_all_met(record: EngineRecord) -> None:
    assert set(verdicts(record).values()) == {True}
    assert len(verdicts(record)) == 11


@pytest.mark.parametrize(
    ("worse", "words"),
    [
        ({"layers": (replace(ONE_CORE, inference_us_median=500.0),)}, "VNNI peak"),
        ({"openings": (replace(IN_C, open_ms=(21.0,) * 5), IN_PYTHON)}, "open, C program"),
        ({"openings": (IN_C, replace(IN_PYTHON, open_ms=(21.0,) * 5))}, "open, Python program"),
        ({"openings": (replace(IN_C, first_ms=(7.0,) * 5), IN_PYTHON)}, "hundredth, C"),
        ({"openings": (replace(IN_C, rss_mb=40.1), IN_PYTHON)}, "resident memory"),
        ({"library": Library(600_001, None)}, "shared library"),
    ],
)
def test_a_figure_beyond_its_limit_misses_its_target_alone(
    record: EngineRecord, worse: dict[str, object], words: str
) -> None:
    missed = [what for what, met in verdicts(replace(record, **worse)).items() if met is False]  # type: ignore[arg-type]
    assert len(missed) == 1
    assert words in missed[0]


def test_what_was_not_measured_is_neither_met_nor_missed(record: EngineRecord) -> None:
    few = (replace(IN_C, inference_ms=(6.0,) * 99, rss_mb=None),)
    found = verdicts(EngineRecord(record.bench, (replace(ONE_CORE, vnni_peak_gmac_per_s=0.0),), few, None))
    unknown = [what for what, met in found.items() if met is None]
    assert len(unknown) == 6  # peak, hundredth of C, both of Python, memory, library


def test_a_published_record_reads_back_as_what_was_measured(record: EngineRecord, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(record_lines(record.bench), encoding="utf-8")
    for line in (*record.layers, *record.openings, record.library):
        assert line is not None
        append(path, line)
    publish(path, tmp_path / "published")
    found = read_engine_record(tmp_path / "published/x.jsonl")
    assert (found.layers, found.openings, found.library) == (record.layers, record.openings, record.library)
    assert verdicts(found) == verdicts(record)


def test_a_line_that_lacks_a_field_is_refused_by_its_number(record: EngineRecord, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(record_lines(replace(record.bench, measurements=())) + '{"schema": 1, "kind": "library"}\n')
    with pytest.raises(CorruptInputError, match="line 2 of x.jsonl"):
        read_engine_record(path)


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    made = with_section(page, "new")
    assert made == f"before\n{BEGIN}\n\nnew\n{END}\nafter\n"
    assert with_section(made, "new") == made


@pytest.mark.parametrize("page", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_page_without_a_place_for_the_section_is_refused(page: str) -> None:
    with pytest.raises(UsageError, match="needs the lines"):
        with_section(page, "new")


def test_the_section_names_each_share_of_the_peak(record: EngineRecord) -> None:
    text = record_text(record, None)
    assert "| 1x1 | 90.0 | 0.450 | 200 | 91% |" in text
    assert "measured peak 220 GMAC/s" in text


def test_the_page_has_a_picture_beside_its_tables(record: EngineRecord, tmp_path: Path) -> None:
    page, folder = tmp_path / "engine.md", tmp_path / "records"
    page.write_text(f"# Engine\n{BEGIN}\n{END}\n", encoding="utf-8")
    folder.mkdir()
    path = folder / "two-cores.jsonl"
    path.write_text(record_lines(record.bench), encoding="utf-8")
    append(path, ONE_CORE)
    make_section(folder, page)
    assert "(engine/two-cores.png)" in page.read_text(encoding="utf-8")
    assert (tmp_path / "engine/two-cores.png").stat().st_size > 5000
