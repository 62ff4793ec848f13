from __future__ import annotations

import pytest

from calibration.site import DEFAULT_RULES, PointRule
from cxr_edge.errors import UsageError
from cxr_edge.evaluation import Predictions

RULES = [("youden", "youden"), ("sensitivity=0.9", "sensitivity-0.9"), (" specificity=1 ", "specificity-1")]
FOUR = Predictions.of([0, 1, 0, 1], [-2.0, -1.0, 1.0, 2.0])


@pytest.mark.parametrize(("text", "name"), RULES)
def test_a_rule_is_read_as_it_is_written_and_named_as_exports_name_theirs(text: str, name: str) -> None:
    assert PointRule.parse(text).name == name


@pytest.mark.parametrize(
    "text",
    ["", "yuden", "youden=0.9", "sensitivity", "sensitivity=", "sensitivity=high", "specificity=0", "sensitivity=1.1"],
)
def test_what_is_no_rule_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"operating point|target"):
        PointRule.parse(text)


def test_a_sensitivity_without_target_is_refused() -> None:
    with pytest.raises(UsageError, match="need a target"):
        PointRule("sensitivity")


@pytest.mark.parametrize(
    ("rule", "threshold"),
    [(PointRule("sensitivity", 1.0), -1.5), (PointRule("specificity", 1.0), 1.5), (PointRule("youden"), -1.5)],
)
def test_thresholds_lie_midway_between_the_logits_that_the_rule_parts(rule: PointRule, threshold: float) -> None:
    assert rule.threshold(FOUR) == threshold


def test_the_default_points_are_those_of_an_export() -> None:
    assert [rule.name for rule in DEFAULT_RULES] == ["youden", "sensitivity-0.95", "specificity-0.95"]
