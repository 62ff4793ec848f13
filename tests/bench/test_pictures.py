from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cxr_edge.bench.grid import Cell
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.pictures import labels, latency_picture, stage_picture
from cxr_edge.bench.table import significant
from cxr_edge.errors import OutputError, UsageError

pytest.importorskip("matplotlib")


def test_pictures_grow_with_the_cells_and_one_record_gives_one_picture(
    measurement: Callable[..., Measurement], tmp_path: Path
) -> None:
    cells = [measurement([1.0 * n, 2.0 * n, 1.5 * n], stages_ms={"decode": 0.5 * n, "infer": 0.9 * n}) for n in (1, 9)]
    for draw in (latency_picture, stage_picture):
        draw(cells, tmp_path / "two.png", "Title")
        draw(cells, tmp_path / "again.png", "Title")
        draw(cells[:1], tmp_path / "one.png", "Title")
        assert (tmp_path / "two.png").read_bytes() == (tmp_path / "again.png").read_bytes()
        with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
            assert one.width == two.width and one.height < two.height


def test_rows_are_named_by_what_tells_them_apart(measurement: Callable[..., Measurement]) -> None:
    ours, peer = (Cell("infer", "e", "fp32", 2, "tensor", None, way=way) for way in ("cxr-edge", "script"))
    other = Cell("decode", None, None, 1, "png", "300x300x16")

    def named(*cells: Cell) -> list[str]:
        return labels([measurement([1.0], cell) for cell in cells])

    assert named(ours) == ["e fp32, 2 threads"]
    assert named(ours, peer) == ["cxr-edge, e fp32, 2 threads", "script, e fp32, 2 threads"]
    assert named(ours, other) == ["infer, e fp32, 2 threads", "decode, png, 1 thread"]


def test_nothing_to_draw_and_nowhere_to_write_are_said(measurement: Callable[..., Measurement], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to draw"):
        stage_picture([measurement([1.0])], tmp_path / "x.png", "Title")
    with pytest.raises(OutputError):
        latency_picture([measurement([1.0])], tmp_path / "nowhere" / "x.png", "Title")


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, ""), (0.01234, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")],
)
def test_figures_have_about_three_digits(number: float | None, text: str) -> None:
    assert significant(number) == text
