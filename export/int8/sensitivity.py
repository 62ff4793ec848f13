"""Which layers suffer from INT8, and giving the worst of them back to float until the model holds what it must.

Both look at range images: a layer chosen by the images that parity is measured on would make that measurement easy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import CheckFailedError, UsageError
from export.int8.exactness import Inputs, logits_of
from export.int8.graph import int8_model
from export.int8.quantised_network import QuantisedNetwork

__all__ = ["Fallback", "LayerShift", "fall_back", "largest_probability_shift", "layer_shifts", "without_layers"]

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


@dataclass(frozen=True, slots=True, eq=False)
class Fallback:
    """A network some layers of which went back to float.

    Attributes:
        network: what is left quantised.
        kept_float: the layers that went back, in that order.
        shift: what was measured before and after each of them; the last is within the limit.
    """

    network: QuantisedNetwork
    kept_float: tuple[str, ...]
    shift: tuple[float, ...]


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


def fall_back(
    quantised: QuantisedNetwork,
    order: Sequence[str],
    shift: Callable[[Logits], float],
    limit: float,
    inputs: Inputs,
    *,
    most: int = 12,
) -> Fallback:
    """Give layers back to float, one after the other, until a measure of the logits is within its limit.

    Args:
        quantised: network with its integers.
        order: layers, the first to go first; `layer_shifts` gives one.
        shift: a measure of the INT8 logits ``[N, K]``, for example `largest_probability_shift` or a loss of AUC.
        limit: that it must not exceed.
        inputs: network inputs of the range images, in batches.
        most: layers that may go back; with many of them in float the model is no INT8 model.

    Raises:
        UsageError: a layer that is not quantised.
        CheckFailedError: the limit is not met with the most layers in float.
    """
    network, kept, measured = quantised, [], [shift(_logits(quantised, inputs))]
    for name in order[:most]:
        # `not <=` so that a NaN counts as too much.
        if measured[-1] <= limit:
            break
        network = without_layers(network, (name,))
        kept.append(name)
        measured.append(shift(_logits(network, inputs)))
    if not measured[-1] <= limit:
        raise CheckFailedError(
            f"INT8 shifts the outputs by {measured[0]:.4f} and, with {len(kept)} layers kept in float, still by "
            f"{measured[-1]:.4f} (allowed {limit:g}); choose another layout or more range images"
        )
    return Fallback(network, tuple(kept), tuple(measured))


def largest_probability_shift(expected: Logits, temperature: float = 1.0) -> Callable[[Logits], float]:
    """A measure for `fall_back`: the largest change of a probability on the same images.

    Args:
        expected: FP32 logits ``[N, K]``.
        temperature: of the bundle.
    """

    def probability(logits: Logits) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64) / temperature)))

    return lambda logits: float(np.abs(probability(logits) - probability(expected)).max())


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
