from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from cxr_edge.bench.compare import compare
from cxr_edge.bench.environment import Machine
from cxr_edge.bench.grid import Cell
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.record import Record
from cxr_edge.errors import UsageError

OTHER = Cell("decode", None, None, 1, "png", "300x300x16")
Records = Callable[..., Record]


@pytest.fixture
def record(machine: Machine, measurement: Callable[..., Measurement]) -> Records:
    def make(*times: Sequence[float], cells: tuple[Cell, ...] = (), name: str = "a.jsonl") -> Record:
        made = tuple(
            measurement(values, cell) if cell else measurement(values)
            for values, cell in zip(times, cells or (None,) * len(times), strict=True)
        )
        return Record(name, machine, made, ())

    return make


def noisy(median: float, seed: int) -> list[float]:
    return (median * np.random.default_rng(seed).lognormal(0.0, 0.05, 50)).tolist()


@pytest.mark.parametrize(
    ("after", "verdict"), [(10.0, "no difference"), (10.2, "no difference"), (13.0, "slower"), (7.0, "faster")]
)
def test_a_difference_beyond_tolerance_and_noise_is_a_verdict(record: Records, after: float, verdict: str) -> None:
    comparison = compare(record(noisy(10.0, 1)), record(noisy(after, 2)))
    (ratio,) = comparison.ratios
    assert ratio.verdict == verdict
    assert ratio.ratio.low <= ratio.ratio.value <= ratio.ratio.high
    assert len(comparison.regressions) == (verdict == "slower")


def test_two_slow_repetitions_of_many_are_no_regression(record: Records) -> None:
    assert not compare(record([10.0] * 50), record([10.0] * 48 + [500.0] * 2)).regressions


def test_a_wider_tolerance_lets_more_pass(record: Records) -> None:
    before, after = record(noisy(10.0, 1)), record(noisy(13.0, 2))
    assert compare(before, after, 0.05).regressions and not compare(before, after, 0.5).regressions
    with pytest.raises(UsageError, match="tolerance"):
        compare(before, after, -0.1)


def test_cells_of_one_record_only_are_named_and_none_shared_is_an_error(record: Records) -> None:
    mine, both = record([1.0]), record([1.0], [2.0], cells=(record([1.0]).measurements[0].cell, OTHER))
    assert compare(mine, both).only_in_one == (OTHER,)
    with pytest.raises(UsageError, match="share no cell"):
        compare(mine, record([1.0], cells=(OTHER,)))


def test_another_machine_is_told(record: Records) -> None:
    before = record([1.0, 1.1])
    after = replace(before, machine=replace(before.machine, cpu="Faster CPU"))
    assert compare(before, after).differences == ("cpu: Test CPU -> Faster CPU",)


def test_a_shortened_record_is_refused(record: Records) -> None:
    before = record([1.0, 1.1])
    short = replace(before, measurements=tuple(replace(one, thinned=True) for one in before.measurements))
    with pytest.raises(UsageError, match="shortened"):
        compare(before, short)
