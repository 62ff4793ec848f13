"""``cxr-edge info`` is what users run when something is broken, so it must not break with it."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import onnxruntime
import pytest
from typer.testing import CliRunner, Result

import cxr_edge.cli.demo  # noqa: F401 - with one command alone typer would leave its name out
import cxr_edge.cli.info  # noqa: F401 - registers the command
from cxr_edge.bundle import Bundle
from cxr_edge.cli.application import app
from cxr_edge.errors import BundleError


def info(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["info", *(str(argument) for argument in arguments)])


@pytest.fixture
def no_shipped_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(bundle: Path | None) -> Bundle:
        raise BundleError("there is no bundle here")

    monkeypatch.setattr("cxr_edge.installation.open_bundle", missing)


@pytest.mark.usefixtures("no_shipped_bundle")
def test_a_missing_bundle_is_said_beside_the_rest() -> None:
    result = info()
    assert result.exit_code == 0, result.output
    assert "preprocessing" in result.stdout and "none (there is no bundle here)" in result.stdout
    record = json.loads(info("--json").stdout)
    assert record["bundle"] is None and record["bundle_error"] == "there is no bundle here"


def test_a_bundle_that_was_asked_for_and_is_missing_is_6(tmp_path: Path) -> None:
    assert info("--bundle", tmp_path / "nowhere").exit_code == 6


def test_a_good_bundle_has_no_error(tiny_bundle: Path) -> None:
    record = json.loads(info("--bundle", tiny_bundle, "--json").stdout)
    assert record["bundle"]["name"] and record["bundle_error"] is None


def test_a_runtime_from_a_package_of_another_name_still_has_its_version(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("cxr_edge.installation.metadata.version", unknown)
    record = json.loads(info("--bundle", tiny_bundle, "--json").stdout)
    assert record["engines"][0]["version"] == onnxruntime.__version__
