"""``cxr-edge reproduce`` as a user sees it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from tiny_run import one_thread, three_folds, tiny_checkpoint
from typer.testing import CliRunner

from cxr_edge.cli import workstation
from cxr_edge.cli.application import app
from cxr_edge.errors import UsageError
from training.model import NIH_LABELS

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _commands() -> None:
    importlib.import_module("cxr_edge.cli.reproduce")


def test_a_study_ends_with_its_figures_and_where_they_are(tmp_path: Path) -> None:
    labels = three_folds(tmp_path / "phantoms", per_fold=8)
    checkpoint = tiny_checkpoint(tmp_path / "nih14.pt", outputs=NIH_LABELS)
    asked = ["reproduce", "--data", str(labels), "--nih14", str(checkpoint), "--starts", "nih14", "--device", "cpu"]
    chosen = ["--variants", "full,body", "--tune", "head", "--heads", "linear", "--stages", "32x1"]
    with one_thread():
        result = RUNNER.invoke(app, [*asked, *chosen, "-o", str(tmp_path / "study")])
    assert result.exit_code == 0, result.output
    assert "body:head:linear:nih14" in result.stdout
    assert "paper, cropped input" in result.stdout
    assert "nothing about a shipped bundle may be chosen by them" in " ".join(result.stdout.split())
    assert (tmp_path / "study" / "records.jsonl").is_file()


def test_without_the_checkout_the_command_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(workstation, "import_module", absent)
    result = RUNNER.invoke(app, ["reproduce", "--data", "labels.csv", "-o", str(tmp_path / "study")])
    assert result.exit_code == UsageError.exit_code
    assert "needs the source checkout" in result.stderr
