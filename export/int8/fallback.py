"""Giving layers back to float, the worst first, until INT8 changes no more than it may.

All of it looks at range images: a layer chosen by the images that parity is measured on would make that measurement
easy. So a limit here is no proof, it only chooses layers; the proof is the parity gate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import CheckFailedError, UsageError
from cxr_edge.evaluation.roc import roc_auc
from export.int8.build import Int8Model
from export.int8.exactness import Inputs, logits_of
from export.int8.graph import int8_model
from export.int8.quantised_network import QuantisedNetwork
from export.int8.sensitivity import layer_shifts, without_layers

__all__ = ["NO_LIMITS", "Fallback", "ShiftLimit", "ShiftLimits", "fall_back", "within_limits"]

Logits = NDArray[np.float32]

MOST_LAYERS = 12
"""Layers that may go back: with many of DenseNet-121's 120 in float, the model is no INT8 model."""

RANKED_BATCHES = 8
"""Batches of range images that layers are ranked on: each layer takes a session of its own and a run over these."""


@dataclass(frozen=True, slots=True)
class ShiftLimits:
    """How much INT8 may change on the range images before layers go back to float; None for no limit.

    Attributes:
        max_auc_drop: AUC of FP32 minus AUC of INT8.
        max_probability_shift: largest change of a calibrated probability.

    Raises:
        UsageError: no number from 0 to 1, or a probability that may not shift at all.
    """

    max_auc_drop: float | None = None
    max_probability_shift: float | None = None

    def __post_init__(self) -> None:
        drop, shift = self.max_auc_drop, self.max_probability_shift
        if drop is not None and not 0 <= drop <= 1:
            raise UsageError(f"an AUC cannot be allowed to drop by {drop}; give a number from 0 to 1")
        if shift is not None and not 0 < shift <= 1:
            raise UsageError(f"a probability cannot be allowed to shift by {shift}; give a number above 0 and up to 1")

    def to_json(self) -> dict[str, float | None]:
        """The limits by name."""
        return asdict(self)

    def measured_against(
        self, expected: Logits, labels: Sequence[int | None], temperature: float
    ) -> tuple[ShiftLimit, ...]:
        """The limits that are set, each with the measure that it limits.

        Args:
            expected: FP32 logits ``[N, K]`` of the range images; the first output is "abnormal".
            labels: 0 or 1 for each of them; None where it is not known.
            temperature: of the bundle.

        Raises:
            UsageError: a limit on the AUC, and the range images don't have both classes.
        """
        found = []
        if self.max_auc_drop is not None:
            found.append(ShiftLimit("AUC drop", auc_drop(expected, labels), self.max_auc_drop))
        if self.max_probability_shift is not None:
            shift = largest_probability_shift(expected, temperature)
            found.append(ShiftLimit("largest shift of a probability", shift, self.max_probability_shift))
        return tuple(found)


NO_LIMITS = ShiftLimits()


@dataclass(frozen=True, slots=True)
class ShiftLimit:
    """One measure of what INT8 does, and what it may be at most.

    Attributes:
        what: is measured, for messages.
        measure: of INT8 logits ``[N, K]``.
        allowed: that it must not exceed.
    """

    what: str
    measure: Callable[[Logits], float]
    allowed: float


@dataclass(frozen=True, slots=True, eq=False)
class Fallback:
    """Networks some layers of which went back to float.

    Attributes:
        networks: what is left quantised.
        kept_float: the layers that went back, in that order.
        shifts: for each limit what was measured before and after each of them; the last ones are within the limits.
    """

    networks: tuple[QuantisedNetwork, ...]
    kept_float: tuple[str, ...]
    shifts: tuple[tuple[float, ...], ...]


def within_limits(
    models: Sequence[Int8Model], limits: Sequence[ShiftLimit], inputs: Inputs
) -> tuple[tuple[Int8Model, ...], dict[str, Any]]:
    """The models with as many layers in float as the limits ask for, the same in all, and a record of it.

    Args:
        models: of one network; layers are ranked on the first.
        limits: to be held by each model.
        inputs: network inputs of the range images, in batches.

    Raises:
        CheckFailedError: a limit is not met with `MOST_LAYERS` layers in float.
    """
    found = fall_back([model.network for model in models], limits, inputs)
    record = {
        "kept_float": list(found.kept_float),
        "limits": [
            {"what": limit.what, "allowed": limit.allowed, "measured": list(measured)}
            for limit, measured in zip(limits, found.shifts, strict=True)
        ],
    }
    if not found.kept_float:
        return tuple(models), record
    changed = (
        replace(model, network=network, model=int8_model(network).SerializeToString())
        for model, network in zip(models, found.networks, strict=True)
    )
    return tuple(changed), record


def fall_back(
    networks: Sequence[QuantisedNetwork],
    limits: Sequence[ShiftLimit],
    inputs: Inputs,
    *,
    order: Sequence[str] | None = None,
    most: int = MOST_LAYERS,
) -> Fallback:
    """Give layers back to float, one after the other, until every measure of every network is within its limit.

    Args:
        networks: with their integers; the same layers go back in all.
        limits: what is measured, and what it may be at most.
        inputs: network inputs of the range images, in batches.
        order: layers, the first to go first; None ranks those of the first network by `layer_shifts`, which takes
            minutes and is done only where a limit is exceeded.
        most: layers that may go back.

    Raises:
        UsageError: a layer that is not quantised, or no inputs.
        CheckFailedError: a limit is not met with the most layers in float.
    """
    if not len(inputs):
        raise UsageError("which layers go back to float is measured on images: give the inputs of some")
    left, kept = tuple(networks), list[str]()
    measured = [shifts_of(left, limits, inputs)]
    if exceeded(measured[-1], limits) is not None and order is None:
        ranked = layer_shifts(left[0], list(inputs)[:RANKED_BATCHES])
        order = [layer.name for layer in ranked]
    for name in list(order or ())[:most]:
        if exceeded(measured[-1], limits) is None:
            break
        left = tuple(without_layers(network, (name,)) for network in left)
        kept.append(name)
        measured.append(shifts_of(left, limits, inputs))
    broken = exceeded(measured[-1], limits)
    if broken is not None:
        limit = limits[broken]
        raise CheckFailedError(
            f"INT8's {limit.what} on the range images is {measured[0][broken]:.4f} and, with {len(kept)} layers kept "
            f"in float, still {measured[-1][broken]:.4f} (allowed {limit.allowed:g}); choose another layout or more "
            "range images"
        )
    return Fallback(left, tuple(kept), tuple(zip(*measured, strict=True)))


def shifts_of(networks: Sequence[QuantisedNetwork], limits: Sequence[ShiftLimit], inputs: Inputs) -> tuple[float, ...]:
    """For each limit the worst of the networks; NaN where one of them is."""
    logits = [logits_of(int8_model(network).SerializeToString(), inputs)[0] for network in networks]
    return tuple(float(np.max([limit.measure(found) for found in logits])) for limit in limits)


def exceeded(measured: Sequence[float], limits: Sequence[ShiftLimit]) -> int | None:
    """Number of the first limit that is exceeded; None where all are held."""
    # `not <=` so that a NaN counts as too much.
    broken = (i for i, (value, limit) in enumerate(zip(measured, limits, strict=True)) if not value <= limit.allowed)
    return next(broken, None)


def largest_probability_shift(expected: Logits, temperature: float = 1.0) -> Callable[[Logits], float]:
    """The largest change of a probability on the same images, as a measure of other logits.

    Args:
        expected: FP32 logits ``[N, K]``.
        temperature: of the bundle.
    """

    def probability(logits: Logits) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64) / temperature)))

    return lambda logits: float(np.abs(probability(logits) - probability(expected)).max())


def auc_drop(expected: Logits, labels: Sequence[int | None]) -> Callable[[Logits], float]:
    """How much lower the AUC of the first output is on the same images, as a measure of other logits.

    Args:
        expected: FP32 logits ``[N, K]``.
        labels: 0 or 1 for each image; those with None are left out.

    Raises:
        UsageError: the labels don't have both classes.
    """
    known = np.array([label is not None for label in labels], np.bool_)
    truth = np.array([label for label in labels if label is not None])
    if set(truth.tolist()) != {0, 1}:
        raise UsageError(
            "a limit on the drop of the AUC needs range images of both classes; give --ranges-data with labels"
        )

    def area(logits: Logits) -> float:
        return roc_auc(truth, logits[known, 0]).value

    return lambda logits: area(expected) - area(logits)
