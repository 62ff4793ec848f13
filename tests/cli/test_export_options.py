"""Limits of the parity gate as options of the export command."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cxr_edge.cli.export import parsed_tolerances
from cxr_edge.errors import UsageError
from cxr_edge.evaluation.parity import DEFAULT_TOLERANCES


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
