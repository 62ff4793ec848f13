from __future__ import annotations

from pathlib import Path

import pytest

from cxr_edge.bench.grid import STAGES, Cell, Grid
from cxr_edge.bench.models import find_models
from cxr_edge.bench.samples import Sample
from cxr_edge.bundle import open_bundle
from cxr_edge.errors import EngineError, UsageError

FRAME = Sample("frame", "300x300x16", Path("x.npy"))
PNG = Sample("png", "300x300x16", Path("x.png"))
JPEG = Sample("jpeg", "300x300x8", Path("x.jpeg"))


def grid(**changes: object) -> Grid:
    axes: dict[str, object] = {
        "models": (("onnxruntime", "fp32"), ("onnxruntime", "int8")),
        "threads": (1, 2),
        "batches": (1, 4),
        "streams": (1, 2),
        "samples": (FRAME, PNG, JPEG),
        "stages": STAGES,
    }
    return Grid(**{**axes, **changes})  # type: ignore[arg-type]


def count(stage: str) -> int:
    return sum(cell.stage == stage for cell in grid().cells())


@pytest.mark.parametrize(
    ("stage", "cells"),
    [
        ("import", 1),
        ("one-shot", 2 * 2 * 2),
        ("decode", 2),
        ("preprocess", 2 * 2),
        ("infer", 2 * 2 * 2 * 2),
        ("end-to-end", 3 * 2 * 2 * 2),
        ("folder", 2 * 2 * 2),
    ],
)
def test_a_stage_has_no_axis_that_it_does_not_depend_on(stage: str, cells: int) -> None:
    assert count(stage) == cells


def test_no_cell_comes_twice() -> None:
    cells = grid().cells()
    assert len(cells) == len(set(cells))


def test_a_cell_survives_its_json() -> None:
    for cell in grid().cells():
        assert Cell.from_json(cell.to_json()) == cell


@pytest.mark.parametrize("axis", [{"stages": ("dekode",)}, {"threads": (0,)}, {"batches": (1, 0)}, {"streams": (0,)}])
def test_axes_that_mean_nothing_are_refused(axis: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="dekode|at least 1"):
        grid(**axis)


def test_what_cannot_run_is_skipped_with_its_reason_unless_it_was_asked_for(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    models = find_models(bundle)
    assert ("onnxruntime", "fp32") in models.available
    assert all(gap.reason for gap in models.missing)
    with pytest.raises(EngineError, match="holds no int8 model"):
        find_models(bundle, ("onnxruntime",), ("int8",))
    with pytest.raises(EngineError, match="int8"):
        find_models(bundle, (), ("int8",))
    with pytest.raises(UsageError, match="unknown"):
        find_models(bundle, ("abacus",))
    with pytest.raises(UsageError, match="precision"):
        find_models(bundle, (), ("int7",))
