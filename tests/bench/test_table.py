from __future__ import annotations

from collections.abc import Callable

import pytest

from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.record import SkippedCell
from cxr_edge.bench.sensors import SensorReadings
from cxr_edge.bench.table import print_measurements


def test_the_table_shows_figures_what_was_skipped_and_what_the_platform_does_not_tell(
    measurement: Callable[..., Measurement], capsys: pytest.CaptureFixture[str]
) -> None:
    print_measurements([measurement([1.0, 2.0, 3.0])], [SkippedCell("tensorrt fp16", "pip install 'x[y]'")])
    text = capsys.readouterr().out
    assert "onnxruntime fp32" in text and "2.00" in text
    assert "skipped tensorrt fp16: pip install 'x[y]'" in text, "brackets are no markup"
    assert "does not tell: energy_j" in text and " MHz" not in text


def test_what_the_platform_tells_gets_a_column(
    measurement: Callable[..., Measurement], capsys: pytest.CaptureFixture[str]
) -> None:
    sensors = SensorReadings(12.5, 6.25, None, None, ("clock_mhz", "temperature_c"))
    print_measurements([measurement([1.0], sensors=sensors)], [])
    text = capsys.readouterr().out
    assert "12.5" in text and "6.25" in text and "MHz" not in text
    assert "does not tell: clock_mhz, temperature_c" in text
