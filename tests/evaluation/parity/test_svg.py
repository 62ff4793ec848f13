from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from cxr_edge.evaluation.parity.charts import bland_altman, roc_overlay, shift_histogram
from cxr_edge.evaluation.parity.svg import Chart, nice_ticks, tick_texts
from cxr_edge.probability import OperatingPoint


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1)), (-3.2, 4.1, (-2, 0, 2, 4)), (0, 27, (0, 10, 20)), (-2e-9, 2e-9, None)],
)
def test_ticks_are_round_and_inside(low: float, high: float, ticks: tuple[float, ...] | None) -> None:
    found = nice_ticks(low, high)
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in found)
    assert ticks is None or found == pytest.approx(ticks)


def test_tick_texts_have_the_decimals_of_their_distance() -> None:
    assert tick_texts((-0.05, 0.0, 0.05)) == ["\u22120.05", "0.00", "0.05"]
    assert tick_texts((0.0, 10.0)) == ["0", "10"]


def test_marks_stand_where_the_values_are() -> None:
    chart = Chart((0.0, 10.0), (0.0, 1.0), "test")
    assert chart.across(0) < chart.across(5) < chart.across(10)
    assert chart.up(1) < chart.up(0)  # SVG's y grows downwards


def test_charts_are_well_formed_with_one_dot_an_image() -> None:
    logits = np.linspace(-3, 3, 30)
    labels = (logits > 0).astype(np.int64)
    charts = (
        bland_altman(logits, logits + 0.1, "logit", labels),
        bland_altman(logits, logits, "logit", None, allowed=0.05),
        shift_histogram(np.full(30, 0.01), 0.02, 0.05),
        roc_overlay(labels, logits, logits, OperatingPoint("zero", 0.0)),
    )
    for number, (chart, dots) in enumerate(zip(charts, (30, 30, 0, 2), strict=True)):
        root = ElementTree.fromstring(chart.svg(f"c{number}"))
        assert root.get("role") == "img"
        assert len(root.findall(".//circle")) == dots


def test_equal_models_are_drawn_without_dividing_by_zero() -> None:
    same = np.array([1.0, 1.0])
    assert "nan" not in bland_altman(same, same, "logit", None).svg("a")
    assert "nan" not in shift_histogram(np.zeros(2), 0.0, 0.0 + 1e-6).svg("b")
