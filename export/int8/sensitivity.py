"""Which layers suffer from INT8, by quantising them one at a time or all but one.

Measured on range images: what is chosen by the images that parity is measured on would make that measurement easy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import UsageError
from export.int8.exactness import Inputs, logits_of
from export.int8.graph import int8_model
from export.int8.quantised_network import QuantisedNetwork

__all__ = ["LayerShift", "layer_shifts", "without_layers"]

Mode = Literal["only", "all-but"]
Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LayerShift:
    """What quantising one layer does to the logits.

    Attributes:
        name: of the convolution.
        rms: root mean square of the logits' change, in standard deviations of the logits without quantised layers.
        largest: largest absolute change of a logit.
    """

    name: str
    rms: float
    largest: float


def layer_shifts(
    quantised: QuantisedNetwork,
    inputs: Inputs,
    *,
    mode: Mode = "only",
    layers: Sequence[str] | None = None,
    on_layer: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[LayerShift, ...]:
    """The sensitivity report, worst layer first.

    Args:
        quantised: network with its integers.
        inputs: network inputs in batches.
        mode: ``"only"`` quantises one layer at a time, against none quantised; ``"all-but"`` gives one layer back at a
            time, against all quantised, so that what counts is how much better the rest becomes without it. Both leave
            a stored concatenation as it is.
        layers: names to look at; None means every quantised one.
        on_layer: told how many layers are done, and of how many.

    Raises:
        UsageError: an unknown mode, a layer that is not quantised, or no inputs.
    """
    if mode not in ("only", "all-but"):
        raise UsageError(f"sensitivity mode {mode!r} is unknown; use only or all-but")
    names = tuple(quantised.convolutions) if layers is None else tuple(layers)
    everything = without_layers(quantised, names) if mode == "only" else quantised
    none = _logits(replace(quantised, convolutions={}), inputs)
    reference = _logits(everything, inputs)
    spread = float(none.std()) or 1.0
    found = []
    for done, name in enumerate(names, start=1):
        if mode == "only":
            kept = {other: part for other, part in quantised.convolutions.items() if other == name}
            kept |= everything.convolutions
            changed = replace(quantised, convolutions=kept)
        else:
            changed = without_layers(quantised, (name,))
        change = np.abs(_logits(changed, inputs) - reference)
        found.append(LayerShift(name, float(np.sqrt(np.mean(change**2))) / spread, float(change.max())))
        on_layer(done, len(names))
    return tuple(sorted(found, key=lambda shift: -shift.rms))


def without_layers(quantised: QuantisedNetwork, names: Sequence[str]) -> QuantisedNetwork:
    """The network with these convolutions in float.

    Raises:
        UsageError: one of them is not quantised.
    """
    unknown = [name for name in names if name not in quantised.convolutions]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no quantised convolution of this network")
    left = {name: part for name, part in quantised.convolutions.items() if name not in names}
    return replace(quantised, convolutions=left)


def _logits(quantised: QuantisedNetwork, inputs: Inputs) -> Logits:
    if not len(inputs):
        raise UsageError("sensitivity is measured on images: give the inputs of some")
    return logits_of(int8_model(quantised).SerializeToString(), inputs)[0]
