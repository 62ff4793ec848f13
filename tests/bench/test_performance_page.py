"""The page made from records: which figure reaches which target, and that nothing is told that no record holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from benchmarks.performance_page.__main__ import make_page, publish
from benchmarks.performance_page.figures import Figures
from benchmarks.performance_page.published import published
from benchmarks.performance_page.targets import targets
from cxr_edge.bench.environment import Machine
from cxr_edge.bench.grid import OWN, Cell
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.memory import Memory
from cxr_edge.bench.record import Record, SkippedCell, read_record, record_lines
from cxr_edge.errors import UsageError

FRAME = "3000x3000x16"
XRV = "torchxrayvision style"

Row = tuple[str, str | None, str | None, str, str, float]
"""stage, engine, precision, input, way, milliseconds."""

GOOD: tuple[Row, ...] = (
    ("import", None, None, "", OWN, 90.0),
    ("one-shot", "openvino", "int8", "dicom", OWN, 700.0),
    ("one-shot", "PyTorch eager", "fp32", "dicom", XRV, 4000.0),
    ("decode", None, None, "dicom-jpeg2000", "pydicom, Pillow full decode", 1000.0),
    ("preprocess", None, None, "frame", OWN, 0.8),
    ("preprocess", None, None, "frame", "plain copy", 0.7),
    ("preprocess", None, None, "frame", "OpenCV INTER_AREA", 10.0),
    ("preprocess", None, None, "frame", "scikit-image", 290.0),
    ("infer", "openvino", "int8", "tensor", OWN, 5.0),
    ("infer", "OpenVINO", "int8", "tensor", "NNCF's own INT8", 5.5),
    ("end-to-end", "openvino", "int8", "frame", OWN, 6.0),
    ("end-to-end", "onnxruntime", "int8", "frame", OWN, 11.0),
    ("end-to-end", "openvino", "int8", "dicom", OWN, 8.0),
    ("end-to-end", "openvino", "int8", "dicom-jpeg2000", OWN, 80.0),
    ("end-to-end", "openvino", "int8", "png", OWN, 90.0),
    ("end-to-end", "openvino", "int8", "jpeg", OWN, 16.0),
    ("end-to-end", "PyTorch eager", "fp32", "frame", XRV, 330.0),
    ("folder", "openvino", "int8", "png", OWN, 400.0),
    ("folder", "openvino", "int8", "jpeg", OWN, 60.0),
)


@pytest.fixture
def record_of(machine: Machine, measurement: Callable[..., Measurement]) -> Callable[..., Record]:
    def one(row: Row) -> Measurement:
        stage, engine, precision, source, way, ms = row
        frame = FRAME if source not in ("", "tensor") else None
        cell = Cell(stage, engine, precision, 1, source or None, frame, way=way)
        stages = {"decode": 70.0, "infer": 5.0} if source == "dicom-jpeg2000" and way == OWN else {}
        memory = Memory(140.0, 160.0, 0.0)
        images = 8 if stage == "folder" else 1
        return measurement([ms] * 5, cell, stages_ms=stages, memory=memory, images=images)

    return lambda rows=GOOD: Record("x.jsonl", machine, tuple(map(one, rows)), (SkippedCell("tensorrt", "missing"),))


def verdicts(record: Record) -> dict[str, bool | None]:
    return {target.what: target.met for target in targets(Figures(record))}


def test_a_record_that_reaches_every_target_has_them_all_met(record_of: Callable[..., Record]) -> None:
    assert set(verdicts(record_of()).values()) == {True}
    assert len(verdicts(record_of())) == 16


@pytest.mark.parametrize(
    ("row", "ms", "words"),
    [
        (0, 200.0, "import cxr_edge"),
        (1, 1500.0, "one-shot"),
        (3, 200.0, "JPEG 2000"),
        (6, 7.0, "OpenCV INTER_AREA"),
        (7, 100.0, "scikit-image"),
        (5, 0.3, "plain copy"),
        (8, 4.0, "end to end - engine"),
        (9, 4.0, "NNCF"),
        (12, 12.0, "uncompressed DICOM"),
        (16, 100.0, "torchxrayvision style / ours"),
        (17, 700.0, "PNG"),
        (18, 120.0, "JPEG files"),
    ],
)
def test_a_figure_that_misses_its_target_is_said_not_to_meet_it(
    record_of: Callable[..., Record], row: int, ms: float, words: str
) -> None:
    rows = list(GOOD)
    rows[row] = (*rows[row][:5], ms)
    failed = [what for what, met in verdicts(record_of(rows)).items() if met is False]
    assert any(words in what for what in failed), failed


def test_without_int8_its_targets_are_not_measured_rather_than_taken_from_fp32(
    record_of: Callable[..., Record],
) -> None:
    rows = [(stage, engine, "fp32" if precision else None, *rest) for stage, engine, precision, *rest in GOOD]
    missing = {what for what, met in verdicts(record_of(rows)).items() if met is None}
    assert len(missing) == 3 and all("INT8" in what for what in missing)
    assert set(verdicts(record_of(())).values()) == {None}


def test_lines_of_targets_are_those_of_the_file(record_of: Callable[..., Record]) -> None:
    record = record_of()
    lines = record_lines(record).splitlines()
    for target in targets(Figures(record)):
        assert target.lines
        assert all('"kind": "cell"' in lines[number - 1] for number in target.lines)
    (import_target,) = (target for target in targets(Figures(record)) if target.what == "import cxr_edge")
    assert '"stage": "import"' in lines[import_target.lines[0] - 1]


def test_a_published_record_is_small_and_keeps_its_summaries(
    machine: Machine, measurement: Callable[..., Measurement]
) -> None:
    times = [float(ms) for ms in range(1, 1001)]
    rounds = tuple(measurement(times, number=number) for number in range(2))
    (one,) = published(Record("x.jsonl", machine, rounds, ()), "y.jsonl").measurements
    assert one.thinned and len(one.repetitions_ms) == 101 and one.repetitions_ms[50] == 500.5
    assert one.summary.n == 2000 and one.summary.p99_ms == 990.0
    with pytest.raises(UsageError, match="no cell"):
        published(Record("x.jsonl", machine, (), ()), "y.jsonl")


def test_the_page_and_its_pictures_are_made_from_the_published_records(
    record_of: Callable[..., Record], tmp_path: Path
) -> None:
    folder, page = tmp_path / "records", tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    with pytest.raises(UsageError, match="no record"):
        make_page(folder, page)
    (tmp_path / "board.jsonl").write_text(record_lines(record_of()))
    publish(tmp_path / "board.jsonl", folder)
    publish(folder / "board.jsonl", folder)
    make_page(folder, page)
    text = page.read_text()
    assert "Test CPU" in text and text.count("| met |") == 16 and "tensorrt: missing" in text
    for name in ("end-to-end", "stages", "infer", "preprocess"):
        assert f"performance/board-{name}.png" in text
        assert (page.parent / "performance" / f"board-{name}.png").stat().st_size > 1000
    assert all(one.thinned for one in read_record(folder / "board.jsonl").measurements)
    make_page(folder, page)
    assert page.read_text() == text


def test_targets_are_not_told_of_another_frame(
    machine: Machine, measurement: Callable[..., Measurement], tmp_path: Path
) -> None:
    small = measurement([1.0], Cell("preprocess", None, None, 1, "frame", "300x300x16"))
    (tmp_path / "x.jsonl").write_text(record_lines(Record("x.jsonl", machine, (small,), ())))
    make_page(tmp_path, tmp_path / "page.md")
    assert "this record has 300x300x16" in (tmp_path / "page.md").read_text()
