from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from calibration.ranges import ChannelRange, RangeMethod, Ranges
from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec


@pytest.fixture
def record() -> Ranges:
    return Ranges(
        {
            "one": ChannelRange(np.array([0.0, -1.5]), np.array([2.0, 1e-9])),
            "two": ChannelRange(np.zeros(1), np.ones(1)),
        },
        RangeMethod("percentile", "channel", 99.9, 0.05),
        "ab" * 32,
        PreprocessSpec(),
        ("11", "22"),
        2,
        {"numpy": "2"},
    )


def test_what_was_written_is_read_back(record: Ranges) -> None:
    found = Ranges.from_bytes(record.to_bytes())
    assert replace(found, tensors={}) == replace(record, tensors={})
    assert list(found.tensors) == ["one", "two"]
    for name, spans in record.tensors.items():
        np.testing.assert_array_equal(found.of(name).low, spans.low)
        np.testing.assert_array_equal(found.of(name).high, spans.high)


def test_a_stale_record_says_what_differs(record: Ranges) -> None:
    record.require_fresh("ab" * 32, PreprocessSpec())
    with pytest.raises(DatasetError, match=r"stale: they were collected on the model abababababab\.\.\., not on cd"):
        record.require_fresh("cd" * 32, PreprocessSpec())
    with pytest.raises(DatasetError, match=r"stale: .*height=192"):
        record.require_fresh("ab" * 32, PreprocessSpec(height=192, width=192))


def test_a_tensor_that_is_not_there_is_named(record: Ranges) -> None:
    with pytest.raises(DatasetError, match="no tensor 'three'"):
        record.of("three")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut", b"no archive"])
def test_damaged_records_are_refused(data: bytes) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        Ranges.from_bytes(data)


def test_a_truncated_or_foreign_archive_is_refused(record: Ranges) -> None:
    whole = record.to_bytes()
    buffer = io.BytesIO()
    np.savez(buffer, other=np.zeros(3))
    for data in (whole[:-30], whole[: len(whole) // 2], buffer.getvalue()):
        with pytest.raises(DatasetError, match="cannot be read"):
            Ranges.from_bytes(data)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ([0.0, np.nan], [1.0, 1.0], r"range of channel 1 is \[nan, 1.0\]"),
        ([0.0], [np.inf], "not finite"),
        ([1.0], [0.0], "swapped"),
        ([1.0, 2.0], [3.0], "shapes"),
    ],
)
def test_ranges_that_cannot_be_used_are_refused(low: list[float], high: list[float], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        ChannelRange(np.array(low), np.array(high))


@pytest.mark.parametrize(
    "fields",
    [{"kind": "mean"}, {"granularity": "layer"}, {"percentile": 20}, {"margin": -0.1}, {"margin": float("nan")}],
)
def test_methods_that_make_no_sense_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        RangeMethod(**fields)  # type: ignore[arg-type]


def test_a_method_of_another_version_is_refused() -> None:
    with pytest.raises(DatasetError, match="range method cannot be read"):
        RangeMethod.from_json({"kind": "min-max", "smoothing": 3})
