"""Options of the export command: what is refused, and what the workstation side is asked for."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cxr_edge.cli.application import app
from cxr_edge.cli.export import parsed_tolerances
from cxr_edge.errors import UsageError
from cxr_edge.evaluation.parity import DEFAULT_TOLERANCES
from export.release_options import CPU_INT8, ReleaseOptions, ShiftLimits


@pytest.mark.parametrize(
    "setting", ["flip_share=0.1", "fp16.flips=0.1", "fp8.flip_share=0.1", "fp16.flip_share=some", "fp16.flip_share=2"]
)
def test_a_limit_that_cannot_be_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=f"--tolerance {setting}"):
        parsed_tolerances([setting])


def test_limits_of_one_artefact_add_up_and_leave_the_others_alone() -> None:
    chosen = parsed_tolerances(["fp16.flip_share=0.005", "fp16.max_probability=0.01"])
    usual = DEFAULT_TOLERANCES["fp16"]
    assert chosen == {"fp16": replace(usual, flip_share=0.005, max_probability=0.01)}


class Asked(Exception):
    """Ends an export where its work would begin."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ReleaseOptions]:
    """What the command asks the workstation side for, which then does nothing."""
    importlib.import_module("cxr_edge.cli.export")
    seen: list[ReleaseOptions] = []

    def stop(run: Path, data: Path, output: Path, options: ReleaseOptions, **progress: object) -> None:
        seen.append(options)
        raise Asked

    monkeypatch.setattr("export.release.export_run", stop)
    return seen


def invoke(*options: str) -> Result:
    return CliRunner().invoke(app, ["export", "run", "--data", "labels.csv", "-o", "bundle", *options])


def test_the_limits_of_fallback_reach_the_export(asked: list[ReleaseOptions]) -> None:
    invoke("--max-auc-drop", "0.002", "--max-probability-shift", "0.03")
    invoke("--max-auc-drop", "0")
    invoke()
    assert [options.shift_limits for options in asked] == [ShiftLimits(0.002, 0.03), ShiftLimits(0.0), ShiftLimits()]


def test_layout_and_rounding_of_int8_reach_the_export(asked: list[ReleaseOptions]) -> None:
    invoke("--int8-layout", "conv-inputs", "--int8-rounding", "output-error")
    invoke("--int8-rounding", "scale-search")
    invoke()
    assert [options.int8 for options in asked] == [
        replace(CPU_INT8, layout="conv-inputs", rounding="output-error"),
        replace(CPU_INT8, rounding="scale-search"),
        CPU_INT8,
    ]


def test_an_unknown_rounding_is_a_usage_error(asked: list[ReleaseOptions]) -> None:
    result = invoke("--int8-rounding", "upwards")
    assert (result.exit_code, asked) == (2, [])
    assert "upwards" in result.output


def test_external_data_and_its_subgroups_reach_the_export(asked: list[ReleaseOptions]) -> None:
    invoke("--external-data", "nih.csv@split=val", "--external-data", "b.csv", "--external-subgroup", "view_position")
    (options,) = asked
    assert options.external_data == ("nih.csv@split=val", "b.csv")
    assert (options.external_subgroups, options.subgroups, options.parity_data) == (("view_position",), (), ())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--max-auc-drop", "-0.1"), "drop by -0.1"),
        (("--max-auc-drop", "nan"), "drop by nan"),
        (("--max-auc-drop", "1.01"), "drop by 1.01"),
        (("--max-probability-shift", "0"), "shift by 0.0"),
        (("--max-probability-shift", "inf"), "shift by inf"),
    ],
)
def test_a_limit_of_fallback_that_is_no_share_is_a_usage_error(
    asked: list[ReleaseOptions], options: tuple[str, ...], says: str
) -> None:
    result = invoke(*options)
    assert (result.exit_code, asked) == (2, [])
    assert says in result.output
