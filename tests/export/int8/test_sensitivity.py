from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.ranges import Ranges
from cxr_edge.errors import UsageError
from export.int8 import Int8Options, QuantisedNetwork, quantised_network, read_network
from export.int8.sensitivity import layer_shifts

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


def test_unknown_layers_modes_and_no_images_are_refused(spoilt: QuantisedNetwork, batches: Batches) -> None:
    with pytest.raises(UsageError, match="'head' is no quantised convolution"):
        layer_shifts(spoilt, batches, layers=("head",))
    with pytest.raises(UsageError, match="mode 'some'"):
        layer_shifts(spoilt, batches, mode="some")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="give the inputs"):
        layer_shifts(spoilt, (), layers=LAYERS)
