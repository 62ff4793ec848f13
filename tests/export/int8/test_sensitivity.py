from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.ranges import Ranges
from cxr_edge.errors import CheckFailedError, UsageError
from export.int8 import Int8Options, QuantisedNetwork, quantised_network, read_network
from export.int8.exactness import logits_of
from export.int8.sensitivity import fall_back, largest_probability_shift, layer_shifts

WORST = "features.denseblock3.denselayer1.layers.conv2"
LAYERS = ("features.denseblock1.denselayer1.layers.conv1", WORST, "features.transition2.conv")
Batches = tuple[np.ndarray, ...]


@pytest.fixture(scope="module")
def spoilt(fp32: bytes, ranges: Ranges, batches: Batches) -> QuantisedNetwork:
    """Quantised, with one layer's scales four times too large."""
    found = quantised_network(read_network(fp32), ranges, Int8Options(), batches)
    worst = found.convolutions[WORST]
    return replace(found, convolutions={**found.convolutions, WORST: replace(worst, scale=worst.scale * 4)})


@pytest.mark.parametrize("mode", ["only", "all-but"])
def test_a_spoilt_layer_comes_first(spoilt: QuantisedNetwork, batches: Batches, mode: str) -> None:
    found = layer_shifts(spoilt, batches, mode=mode, layers=LAYERS)  # type: ignore[arg-type]
    assert [part.name for part in found][0] == WORST
    assert {part.name for part in found} == set(LAYERS)
    assert found[0].rms > 5 * found[1].rms > 0
    assert found[0].largest > 0


def test_the_spoilt_layer_goes_back_to_float_and_no_other(
    spoilt: QuantisedNetwork, fp32: bytes, batches: Batches
) -> None:
    shift = largest_probability_shift(logits_of(fp32, batches)[0])
    order = [part.name for part in layer_shifts(spoilt, batches, layers=LAYERS)]
    broken = shift(logits_of(fp32, batches)[0] + 1)
    found = fall_back(spoilt, order, shift, 0.02, batches)
    assert broken > 0.02
    assert found.kept_float == (WORST,)
    assert found.shift[0] > 0.02 >= found.shift[1]
    assert WORST not in found.network.convolutions


def test_a_limit_that_cannot_be_met_is_an_error(spoilt: QuantisedNetwork, batches: Batches) -> None:
    with pytest.raises(CheckFailedError, match="with 1 layers kept in float, still by 0.5"):
        fall_back(spoilt, LAYERS, lambda logits: 0.5, 0.01, batches, most=1)
    with pytest.raises(CheckFailedError, match="nan"):
        fall_back(spoilt, LAYERS[:1], lambda logits: float("nan"), 0.01, batches)


def test_unknown_layers_modes_and_no_images_are_refused(spoilt: QuantisedNetwork, batches: Batches) -> None:
    with pytest.raises(UsageError, match="'head' is no quantised convolution"):
        layer_shifts(spoilt, batches, layers=("head",))
    with pytest.raises(UsageError, match="mode 'some'"):
        layer_shifts(spoilt, batches, mode="some")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="give the inputs"):
        layer_shifts(spoilt, (), layers=LAYERS)
