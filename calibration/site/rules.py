"""How an operating point is asked for: ``youden``, ``sensitivity=0.95``, ``specificity=0.9``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from calibration.operating_point import Rule, at_least_sensitivity, at_least_specificity, best_threshold, largest_youden
from cxr_edge.errors import UsageError
from cxr_edge.evaluation import Predictions

__all__ = ["DEFAULT_RULES", "PointRule"]

Kind = Literal["youden", "sensitivity", "specificity"]


@dataclass(frozen=True, slots=True)
class PointRule:
    """What an operating point shall reach.

    Attributes:
        kind: the largest Youden index, or a least sensitivity or specificity.
        target: that least share, above 0, at most 1; None for Youden's index.

    Raises:
        UsageError: a target where there must be none, none where there must be one, or one out of range.
    """

    kind: Kind
    target: float | None = None

    def __post_init__(self) -> None:
        if (self.kind == "youden") != (self.target is None):
            raise UsageError(f"operating point {self.kind}: sensitivity and specificity need a target, youden has none")
        self.rule()

    @classmethod
    def parse(cls, text: str) -> PointRule:
        """The rule that ``youden``, ``sensitivity=0.95`` or ``specificity=0.9`` asks for.

        Raises:
            UsageError: it asks for something else.
        """
        kind, sign, target = text.strip().partition("=")
        try:
            if kind == "youden" and not sign:
                return cls("youden")
            if kind == "sensitivity":
                return cls("sensitivity", float(target))
            if kind == "specificity":
                return cls("specificity", float(target))
        except ValueError as error:
            raise UsageError(f"operating point {text!r}: {target!r} is no number") from error
        raise UsageError(f"operating point {text!r} is neither youden nor sensitivity=TARGET nor specificity=TARGET")

    @property
    def name(self) -> str:
        """Of the operating point, as `cxr-edge export` names its own: ``"youden"``, ``"sensitivity-0.95"``."""
        return self.kind if self.target is None else f"{self.kind}-{self.target:g}"

    @property
    def words(self) -> str:
        """The rule for a reader."""
        if self.target is None:
            return "largest Youden index"
        other = "specificity" if self.kind == "sensitivity" else "sensitivity"
        return f"best {other} with {self.kind} of at least {self.target:g}"

    def rule(self) -> Rule:
        """The rule that chooses among thresholds."""
        if self.target is None:
            return largest_youden
        return at_least_sensitivity(self.target) if self.kind == "sensitivity" else at_least_specificity(self.target)

    def threshold(self, predictions: Predictions) -> float:
        """The threshold on the raw logit that the rule takes on these predictions.

        Raises:
            DatasetError: one class.
        """
        return best_threshold(predictions, self.rule())


DEFAULT_RULES = (PointRule("youden"), PointRule("sensitivity", 0.95), PointRule("specificity", 0.95))
"""The operating points that `cxr-edge export` writes, under the same names; the first is the default."""
