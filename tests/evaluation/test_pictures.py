"""ROC and reliability pictures: written whole, without global state, or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from cxr_edge.errors import DatasetError, OutputError, UsageError
from cxr_edge.evaluation import Predictions, evaluate, reliability_picture, roc_picture
from cxr_edge.probability import OperatingPoint, Temperature

PICTURES = [roc_picture, reliability_picture]


@pytest.fixture
def evaluated():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 80)
    some = Predictions.of(labels, rng.normal(size=80) + 2 * labels - 1)
    return some, evaluate(some, Temperature(), OperatingPoint("youden", 0.0), stamp="seen in training: not evidence")


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_a_png_with_ink_in_it_and_the_same_every_time(picture, evaluated, tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    picture(*evaluated, tmp_path / "one.png")
    picture(*evaluated, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with image_module.open(tmp_path / "one.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 700
        assert np.asarray(image.convert("L")).std() > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]


@pytest.mark.parametrize("picture", PICTURES)
def test_an_unwritable_place_is_an_output_error(picture, evaluated, tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(OutputError):
        picture(*evaluated, tmp_path / "none" / "picture.png")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_picture_gets_the_mode_that_any_new_file_would_get(evaluated, tmp_path):
    pytest.importorskip("matplotlib")
    before = os.umask(0o077)
    try:
        roc_picture(*evaluated, tmp_path / "roc.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "roc.png").stat().st_mode) == 0o600


@pytest.mark.parametrize("picture", PICTURES)
def test_without_matplotlib_the_extra_is_named(picture, evaluated, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install 'cxr-edge\[workstation\]'"):
        picture(*evaluated, tmp_path / "picture.png")


def test_one_class_has_no_roc_picture_but_a_reliability_picture(tmp_path):
    pytest.importorskip("matplotlib")
    some = Predictions.of([1, 1, 1], [0.0, 1.0, 2.0])
    evaluation = evaluate(some, Temperature(), OperatingPoint("youden", 0.0))
    with pytest.raises(DatasetError, match="one class"):
        roc_picture(some, evaluation, tmp_path / "roc.png")
    reliability_picture(some, evaluation, tmp_path / "reliability.png")
    assert [path.name for path in tmp_path.iterdir()] == ["reliability.png"]


def test_evaluating_loads_neither_matplotlib_nor_scipy():
    code = (
        "import sys, cxr_edge.evaluation as e, cxr_edge.probability as p\n"
        "e.evaluation_text(e.evaluate(e.Predictions.of([0, 1], [0.0, 1.0]), p.Temperature(), "
        "p.OperatingPoint('p', 0.5)))\n"
        "print([name for name in ('matplotlib', 'scipy', 'sklearn', 'torch', 'PIL') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
