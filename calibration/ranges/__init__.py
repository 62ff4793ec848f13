"""INT8 ranges: which images they come from, what every tensor spans on them, a record that says when it is stale."""

from calibration.ranges.collect import DEFAULT_METHOD, collect_ranges
from calibration.ranges.images import RangeImages, choose_range_images, network_inputs
from calibration.ranges.methods import RangeMethod
from calibration.ranges.record import ChannelRange, Ranges
from calibration.ranges.tapped_model import TappedModel

__all__ = [
    "DEFAULT_METHOD",
    "ChannelRange",
    "RangeImages",
    "RangeMethod",
    "Ranges",
    "TappedModel",
    "choose_range_images",
    "collect_ranges",
    "network_inputs",
]
