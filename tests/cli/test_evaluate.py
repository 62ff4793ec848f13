"""``cxr-edge evaluate``: what is wrong with a request is said before the work, and figures are never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import cxr_edge.cli.evaluate  # noqa: F401 - registers the command
import cxr_edge.cli.info  # noqa: F401 - with one command alone typer would leave its name out
from cxr_edge.classifier import Classifier
from cxr_edge.cli.application import app
from cxr_edge.phantom import PhantomSpec, render
from cxr_edge.phantom.files import write_png


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A label file of four images."""
    for seed in range(4):
        spec = PhantomSpec(height=256, width=256, seed=seed, abnormal=seed % 2 == 1)
        write_png(render(spec), tmp_path / f"{seed}.png")
    return write_labels(tmp_path, [f"{seed}.png,{seed % 2}" for seed in range(4)])


@pytest.fixture
def no_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*arguments: Any, **options: Any) -> None:
        pytest.fail("the images were about to be classified")

    monkeypatch.setattr(Classifier, "open", opened)


def write_labels(folder: Path, rows: list[str]) -> Path:
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows, ""]))
    return folder / "labels.csv"


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *(str(argument) for argument in arguments)])


@pytest.mark.usefixtures("no_inference")
def test_a_picture_folder_that_cannot_be_made_is_found_before_inference(labels: Path, tiny_bundle: Path) -> None:
    result = evaluate("--data", labels, "--bundle", tiny_bundle, "--pictures", labels / "pictures")
    assert result.exit_code == 9
    assert "cannot write" in result.stderr


@pytest.mark.usefixtures("no_inference")
def test_a_missing_matplotlib_is_found_before_inference(
    labels: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxr_edge.cli.evaluate.find_spec", lambda name: None)
    result = evaluate("--data", labels, "--bundle", tiny_bundle, "--pictures", labels.parent / "pictures")
    assert result.exit_code == 2
    assert "cxr-edge[workstation]" in result.stderr


@pytest.mark.usefixtures("no_inference")
def test_a_subgroup_column_that_is_not_there_is_found_before_inference(labels: Path, tiny_bundle: Path) -> None:
    result = evaluate("--data", labels, "--bundle", tiny_bundle, "--subgroup", "shoe_size")
    assert result.exit_code == 2
    assert "no column 'shoe_size'" in result.stderr


def test_figures_are_printed_even_when_a_picture_cannot_be_written(
    labels: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "pictures" / "roc.png").mkdir(parents=True)
    result = evaluate("--data", labels, "--bundle", tiny_bundle, "--pictures", tmp_path / "pictures")
    assert result.exit_code == 9
    assert "AUC" in result.stdout


def test_an_image_that_the_gate_refused_makes_the_exit_code_10(labels: Path, tiny_bundle: Path) -> None:
    write_png(render(PhantomSpec(height=100, width=100)), labels.parent / "small.png")
    with labels.open("a") as file:
        file.write("small.png,0\n")
    result = evaluate("--data", labels, "--bundle", tiny_bundle)
    assert result.exit_code == 10
    assert "1 images were refused" in result.stdout
    record = json.loads(evaluate("--data", labels, "--bundle", tiny_bundle, "--json").stdout)
    assert [Path(path).name for path in record["refused"]] == ["small.png"]


@pytest.mark.parametrize(
    "option",
    [
        ("--where", "fold=0"),
        ("--subgroup", "sex"),
        ("--pictures", "pictures"),
        ("--allow-seen",),
        ("--bundle", "bundle"),
        ("--engine", "onnxruntime"),
        ("--threads", "0"),
    ],
)
def test_an_option_that_a_recipe_does_not_take_is_refused(tmp_path: Path, option: tuple[str, ...]) -> None:
    result = evaluate("--run", tmp_path, *option)
    assert result.exit_code == 2
    assert f"error: {option[0]}: for --data only" in result.stderr
