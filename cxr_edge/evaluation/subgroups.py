"""Performance by subgroup: one table a column of the label file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError
from cxr_edge.evaluation.metrics import brier_score, decision_metrics
from cxr_edge.evaluation.predictions import Predictions
from cxr_edge.evaluation.roc import roc_auc
from cxr_edge.probability import Interval, OperatingPoint, Temperature, calibrated_probability

__all__ = ["Subgroup", "SubgroupTable", "subgroup_table"]

AGE_COLUMNS = ("age", "patient_age")
AGE_EDGES = (40.0, 60.0)
"""Years; the split into younger, middle and older adults."""

MAX_SUBGROUPS = 30
"""More subgroups than this say nothing at the size of these data sets, and one a patient would publish patients."""

FEW_NUMBERS = 10
"""A column of numbers with no more distinct values than this is a code (a fold, a yes/no), not a measurement."""

NOT_STATED = "not stated"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Subgroup:
    """Figures of the images that share a value of one column; None where the subgroup cannot give a figure.

    Attributes:
        name: the value, or the range of values.
        images, abnormal, patients: how many; small numbers make wide intervals.
        auc: None when the subgroup has one class.
        sensitivity, specificity: at the operating point; None without abnormal or normal images.
        brier: mean squared error of the probability.
    """

    name: str
    images: int
    abnormal: int
    patients: int
    auc: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None
    brier: Interval


@dataclass(frozen=True, slots=True)
class SubgroupTable:
    """Subgroups by one column.

    Attributes:
        column: its name.
        rule: how values became subgroups.
        subgroups: in the order of their values.
    """

    column: str
    rule: str
    subgroups: tuple[Subgroup, ...]


def subgroup_table(
    predictions: Predictions, column: str, temperature: Temperature, operating_point: OperatingPoint
) -> SubgroupTable:
    """Figures by the values of one column.

    Cells are grouped by this rule, the first that applies: ``age`` and ``patient_age`` fall into under 40, 40 to 59, 60
    and over (years); a column in which some cell lists several values separated by ``|`` has one subgroup a value, an
    image counting in several; a column of more than ten different numbers is cut at its terciles; any other has one
    subgroup a value. Empty cells are "not stated".

    Args:
        predictions: labels, logits and the column.
        column: its name.
        temperature: turns logits into the probabilities of the Brier score.
        operating_point: decides.

    Raises:
        UsageError: no such column, or more than 30 subgroups.
    """
    rule, masks = _grouped(column, predictions.column(column))
    if len(masks) > MAX_SUBGROUPS:
        raise UsageError(
            f"column {column!r} has {len(masks)} different values; subgroups need a column with at most {MAX_SUBGROUPS}"
        )
    groups = (_subgroup(name, predictions.chosen(mask), temperature, operating_point) for name, mask in masks)
    return SubgroupTable(column, rule, tuple(groups))


def _subgroup(name: str, some: Predictions, temperature: Temperature, point: OperatingPoint) -> Subgroup:
    abnormal = int(some.labels.sum())
    decisions = decision_metrics(some.labels, point.is_abnormal(some.logits), some.patients)
    return Subgroup(
        name=name,
        images=some.images,
        abnormal=abnormal,
        patients=some.patient_count,
        auc=roc_auc(some.labels, some.logits, some.patients) if 0 < abnormal < some.images else None,
        sensitivity=decisions.sensitivity,
        specificity=decisions.specificity,
        brier=brier_score(some.labels, calibrated_probability(some.logits, temperature), some.patients),
    )


def _grouped(column: str, cells: tuple[str, ...]) -> tuple[str, list[tuple[str, Mask]]]:
    """The rule in words, and name and mask ``[n]`` of each subgroup that has an image."""
    texts = [cell.strip() for cell in cells]
    numbers = np.array([_number(text) for text in texts])
    stated = np.array([text != "" for text in texts])
    if column in AGE_COLUMNS:
        return "years", list(_ranges(numbers, AGE_EDGES))
    if any("|" in text for text in texts):
        return "an image counts under each of its values", list(_values([_split(text) for text in texts]))
    if np.isfinite(numbers[stated]).all() and np.unique(numbers[stated]).size > FEW_NUMBERS:
        terciles = np.unique(np.quantile(numbers[stated], (1 / 3, 2 / 3)))
        return "cut at the terciles", list(_ranges(numbers, tuple(float(edge) for edge in terciles)))
    return "one subgroup a value", list(_values([(text or NOT_STATED,) for text in texts]))


def _ranges(numbers: NDArray[np.float64], edges: tuple[float, ...]) -> Iterator[tuple[str, Mask]]:
    """``< e1``, ``e1 to < e2``, ..., ``>= ek``, then the cells that hold no number."""
    bounds = (-math.inf, *edges, math.inf)
    for low, high in zip(bounds[:-1], bounds[1:], strict=True):
        mask = (numbers >= low) & (numbers < high)
        if mask.any():
            yield _range_name(low, high), mask
    if not np.isfinite(numbers).all():
        yield NOT_STATED, ~np.isfinite(numbers)


def _range_name(low: float, high: float) -> str:
    if math.isinf(low):
        return f"< {high:g}"
    return f">= {low:g}" if math.isinf(high) else f"{low:g} to < {high:g}"


def _values(lists: list[tuple[str, ...]]) -> Iterator[tuple[str, Mask]]:
    names = sorted({value for values in lists for value in values})
    for name in sorted(names, key=lambda value: value == NOT_STATED):
        yield name, np.array([name in values for values in lists])


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip()) or (NOT_STATED,)


def _number(text: str) -> float:
    """The finite number that a cell holds, NaN when it holds none."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
