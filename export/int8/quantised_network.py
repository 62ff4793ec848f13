"""A rewritten network with integers for the convolutions that are quantised: every INT8 artefact is written from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from export.int8.activation_grid import ActivationGrid
from export.int8.network import Network
from export.int8.weights import QuantisedConvolution

__all__ = ["LAYOUTS", "Layout", "QuantisedNetwork"]

Layout = Literal["conv-inputs", "all-int8"]
LAYOUTS: tuple[Layout, ...] = ("conv-inputs", "all-int8")


@dataclass(frozen=True, slots=True, eq=False)
class QuantisedNetwork:
    """Everything that an INT8 graph or an integer engine needs.

    Attributes:
        network: rewritten; its convolutions are in real numbers.
        convolutions: integers by name; what is not here runs in float.
        layout: ``"conv-inputs"``, where the concatenation is float, or ``"all-int8"``, where every tensor that enters
            it is stored in INT8.
        grid: of the inputs of 1x1 convolutions and of a stored concatenation.
        hidden_grid: of the inputs of 3x3 convolutions, which are not negative.
    """

    network: Network
    convolutions: Mapping[str, QuantisedConvolution]
    layout: Layout
    grid: ActivationGrid
    hidden_grid: ActivationGrid
