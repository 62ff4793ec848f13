"""What the network is shown of a frame: where the body and the lungs are, and the one way from there to its input."""

from cxr_edge.regions.cells import GRID, CellBox
from cxr_edge.regions.network_input import network_input, region_input
from cxr_edge.regions.region import Localiser, LocatedLungs, Region, locate, whole_frame
from cxr_edge.regions.thumbnail import thumbnail

__all__ = [
    "GRID",
    "CellBox",
    "Localiser",
    "LocatedLungs",
    "Region",
    "locate",
    "network_input",
    "region_input",
    "thumbnail",
    "whole_frame",
]
