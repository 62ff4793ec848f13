"""From a logit to a calibrated probability to a decision at a named operating point.

Probability calibration is temperature scaling (Guo et al., ICML 2017): one positive number divides the logit. It keeps
the order of the logits, so AUC and every decision are untouched by it, and the decision is taken on the logit itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_edge.errors import BundleError, EngineError, UsageError

__all__ = ["Interval", "Label", "OperatingPoint", "Temperature", "calibrated_probability", "logit_at_probability"]

Label = Literal["normal", "abnormal"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its two-sided 95 % confidence interval.

    Attributes:
        value: the estimate.
        low, high: ends of the interval, in the unit of the value; finite, ``low <= high``.
        method: how the interval was computed, for example ``"Wilson"``.

    Raises:
        BundleError: a number is not finite, or ``low > high``.
    """

    value: float
    low: float
    high: float
    method: str

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.value, self.low, self.high)):
            raise BundleError(f"interval {self.value} [{self.low}, {self.high}] holds a number that is not finite")
        if self.low > self.high:
            raise BundleError(f"interval [{self.low}, {self.high}] has its ends swapped")

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal interval."""
        return {"value": self.value, "low": self.low, "high": self.high, "method": self.method}

    @classmethod
    def from_json(cls, value: object) -> Interval:
        """The interval that `to_json` wrote.

        Raises:
            BundleError: unknown or missing keys, or values of another type or out of range.
        """
        section = _section(value, "interval", ("value", "low", "high", "method"))
        value_, low, high = (_number(section[key], f"interval {key}") for key in ("value", "low", "high"))
        return cls(value_, low, high, _text(section["method"], "interval method"))


@dataclass(frozen=True, slots=True)
class Temperature:
    """The divisor of the logit that makes probabilities mean what they say; 1 leaves them as the network gives them.

    Raises:
        BundleError: not a positive finite number.
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0):
            raise BundleError(f"temperature {self.value} is not usable: it must be a positive finite number")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal temperature."""
        return {"temperature": self.value}

    @classmethod
    def from_json(cls, value: object) -> Temperature:
        """The temperature that `to_json` wrote.

        Raises:
            BundleError: unknown or missing keys, or a value that is no positive finite number.
        """
        return cls(_number(_section(value, "temperature", ("temperature",))["temperature"], "temperature"))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A named threshold: an image is abnormal when ``logit >= logit_threshold``.

    Attributes:
        name: what a user asks for, for example ``"youden"`` or ``"sensitivity-0.95"``.
        logit_threshold: on the raw logit, before the temperature, so that recalibration never moves a decision.
        sensitivity, specificity: as recorded when the threshold was chosen, on the data it was chosen on; None where
            nothing was recorded.
        rule: how the threshold was chosen, in words.

    Raises:
        BundleError: an empty name, or a threshold that is not finite.
    """

    name: str
    logit_threshold: float
    sensitivity: Interval | None = None
    specificity: Interval | None = None
    rule: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise BundleError("an operating point has an empty name")
        if not math.isfinite(self.logit_threshold):
            raise BundleError(f"operating point {self.name!r}: logit threshold {self.logit_threshold} is not finite")

    def label(self, logit: float) -> Label:
        """The decision for one logit.

        Raises:
            EngineError: the logit is not finite; there is no decision then.
        """
        return "abnormal" if bool(self.is_abnormal(logit)) else "normal"

    def is_abnormal(self, logits: ArrayLike) -> NDArray[np.bool_]:
        """True where the decision is "abnormal", of the shape of ``logits``.

        Raises:
            EngineError: a logit is not finite; there is no decision then.
        """
        # float64 before comparing: numpy would otherwise round the threshold to the logits' float32 and could flip
        # a decision that the scalar comparison takes the other way.
        return np.asarray(_finite(logits) >= self.logit_threshold)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal operating point."""
        return {
            "name": self.name,
            "logit_threshold": self.logit_threshold,
            "sensitivity": None if self.sensitivity is None else self.sensitivity.to_json(),
            "specificity": None if self.specificity is None else self.specificity.to_json(),
            "rule": self.rule,
        }

    @classmethod
    def from_json(cls, value: object) -> OperatingPoint:
        """The operating point that `to_json` wrote.

        Raises:
            BundleError: unknown or missing keys, or values of another type or out of range.
        """
        keys = ("name", "logit_threshold", "sensitivity", "specificity", "rule")
        section = _section(value, "operating point", keys)
        sensitivity, specificity = (
            None if section[key] is None else Interval.from_json(section[key]) for key in ("sensitivity", "specificity")
        )
        return cls(
            name=_text(section["name"], "operating point name"),
            logit_threshold=_number(section["logit_threshold"], "logit threshold"),
            sensitivity=sensitivity,
            specificity=specificity,
            rule=_text(section["rule"], "operating point rule"),
        )


@overload
def calibrated_probability(logit: float, temperature: Temperature) -> float: ...
@overload
def calibrated_probability(logit: NDArray[Any], temperature: Temperature) -> NDArray[np.float64]: ...
def calibrated_probability(logit: float | NDArray[Any], temperature: Temperature) -> float | NDArray[np.float64]:
    """Probability of "abnormal", ``sigmoid(logit / T)`` in float64; a float for a number, an array for an array.

    Computed as ``exp(-log(1 + exp(-x)))``, which neither overflows nor rounds small probabilities to zero early.

    Raises:
        EngineError: a logit is not finite; there is no probability then.
    """
    probability = np.exp(-np.logaddexp(0.0, -_finite(logit) / temperature.value))
    return probability if isinstance(logit, np.ndarray) else float(probability)


def logit_at_probability(probability: float, temperature: Temperature) -> float:
    """The logit whose calibrated probability is ``probability``: ``T * log(p / (1 - p))``.

    Raises:
        UsageError: the probability is not strictly between 0 and 1.
    """
    if not 0.0 < probability < 1.0:
        raise UsageError(f"probability {probability} has no finite logit: give a number strictly between 0 and 1")
    return temperature.value * (math.log(probability) - math.log1p(-probability))


def _finite(logits: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(logits, dtype=np.float64)
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise EngineError(
            f"{bad} of {values.size} logits are not finite: no decision is taken; check the model with "
            "`cxr-edge self-test` or choose another engine or precision"
        )
    return values


def _section(value: object, what: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BundleError(f"{what} section is a {type(value).__name__}, not a JSON object")
    if set(value) != set(keys):
        raise BundleError(f"{what} section has the keys {sorted(map(str, value))}; this version reads {sorted(keys)}")
    return value


def _number(value: object, what: str) -> float:
    # bool is an int in Python, and json.loads accepts NaN and Infinity; the records refuse the latter two.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BundleError(f"{what} is {value!r}, not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise BundleError(f"{what} is too large for a double") from error


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise BundleError(f"{what} is a {type(value).__name__}, not text")
    return value
