"""``cxr-edge tune``: stores what is fastest here, ``info`` tells, ``--forget`` drops it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import cxr_edge.cli.info
import cxr_edge.cli.tune  # noqa: F401 - registers the command
from cxr_edge.cli.application import app
from cxr_edge.engines import available_threads


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_EDGE_CACHE", str(tmp_path / "cache"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_tuning_is_stored_told_and_forgotten(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr_edge.bench.tuning.thread_counts", lambda usable, row: (1,))
    result = run("tune", "--bundle", tiny_bundle, "--repetitions", "2", "--seconds", "0.1", "--json")
    assert result.exit_code == 0, result.stderr
    (best,) = json.loads(result.stdout)["ranked"]
    assert (best["engine"], best["precision"], best["threads"]) == ("onnxruntime", "fp32", 1)
    assert json.loads(run("info", "--bundle", tiny_bundle, "--json").stdout)["tuned"] == best
    assert "onnxruntime fp32, 1 threads" in run("info", "--bundle", tiny_bundle).stdout

    assert run("tune", "--bundle", tiny_bundle, "--forget").stdout == "forgotten\n"
    assert run("tune", "--bundle", tiny_bundle, "--forget").stdout == "nothing was stored\n"
    assert json.loads(run("info", "--bundle", tiny_bundle, "--json").stdout)["tuned"] is None


@pytest.mark.parametrize("option", [("--repetitions", "0"), ("--seconds", "0"), ("--forget", "--seconds", "1")])
def test_options_that_measure_nothing_are_a_usage_error(tiny_bundle: Path, option: tuple[str, ...]) -> None:
    assert run("tune", "--bundle", tiny_bundle, *option).exit_code == 2


def test_a_cache_that_cannot_be_written_is_9(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("CXR_EDGE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("cxr_edge.bench.tuning.thread_counts", lambda usable, row: (available_threads(),))
    result = run("tune", "--bundle", tiny_bundle, "--repetitions", "1", "--seconds", "0.1")
    assert result.exit_code == 9
