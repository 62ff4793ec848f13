from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cxr_edge.decode
from cxr_edge.bench.sample_bytes import SAMPLE_KINDS
from cxr_edge.cli.application import app
from cxr_edge.phantom import PhantomSpec, render


@pytest.fixture
def jpeg2000(tmp_path: Path) -> Path:
    path = tmp_path / "chest.dcm"
    path.write_bytes(SAMPLE_KINDS["dicom-jpeg2000"](render(PhantomSpec(height=512, width=480, bits_stored=16, seed=3))))
    return path


@pytest.mark.parametrize(("flag", "reduced"), [("--reduced-decode", True), ("--full-decode", False), ("--json", False)])
def test_frames_are_decoded_smaller_only_when_asked_and_the_result_says_so(
    flag: str, reduced: bool, jpeg2000: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_module("cxr_edge.cli.classify")
    monkeypatch.setattr(cxr_edge.decode, "REDUCED_SIDE", 240)
    result = CliRunner().invoke(app, ["classify", str(jpeg2000), "--bundle", str(tiny_bundle), "--json", flag])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)["warnings"]
    assert any("1/2 of its size, 240 x 256 pixels" in warning for warning in said) == reduced
