"""``cxr-edge info`` is what users run when something is broken, so it must not break with it."""

from __future__ import annotations

import json
import subprocess
import sys
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


def test_a_runtime_from_a_package_of_another_name_still_has_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "onnxruntime-gpu":
            return "1.99"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"onnxruntime": ["onnxruntime-gpu"]})
    versions = {engine["name"]: engine["version"] for engine in json.loads(info("--json").stdout)["engines"]}
    assert versions["onnxruntime"] == "1.99"
    assert versions["openvino"] in (None, "installed")


def test_engines_are_listed_with_their_devices_and_what_brings_them() -> None:
    record = json.loads(info("--json").stdout)
    engines = {engine["name"]: engine for engine in record["engines"]}
    assert list(engines) == ["tensorrt", "native", "openvino", "onnxruntime"]
    assert engines["onnxruntime"]["version"] == onnxruntime.__version__
    assert engines["onnxruntime"]["devices"] == ["cpu", "cuda"]
    assert engines["openvino"]["remedy"] == "pip install 'cxr-edge[openvino]'"
    assert "(cpu, cuda)" in info().stdout


def test_the_folder_of_compiled_models_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_EDGE_CACHE", str(tmp_path / "compiled"))
    assert str(tmp_path / "compiled") in info().stdout
    monkeypatch.delenv("CXR_EDGE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert json.loads(info("--json").stdout)["cache"] is None
    assert "set CXR_EDGE_CACHE" in info().stdout


def homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_info_imports_no_runtime() -> None:
    program = (
        "import sys\n"
        "from cxr_edge.installation import installation\n"
        "installation()\n"
        "print(sorted({'openvino', 'onnxruntime', 'tensorrt', 'torch'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert result.stdout.strip() == "[]"
