"""How far one precision may be from the FP32 reference: the limits that its parity is judged by, as bundle data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from cxr_edge.bundle.fields import Fields

__all__ = ["Tolerances"]

SHARE = (0.0, 1.0)
RANGES = {"cam_median_r": (-1.0, 1.0), "temperature_excess": (1.0, 100.0)}
"""Where a limit is no share: the values that it may have."""


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Limits of one precision against the FP32 reference on images that nothing was fitted on.

    Attributes:
        p99_probability: largest 99th percentile of the absolute difference of calibrated probabilities.
        max_probability: largest absolute difference of calibrated probabilities.
        rms_logit_share: largest root mean square of the logits' difference, as a share of the standard deviation of
            the reference's logits. No temperature can make it smaller.
        flip_share: largest share of images whose decision at the operating point changes.
        auc_margin: non-inferiority margin of the AUC.
        sensitivity_margin, specificity_margin: non-inferiority margins at the operating point.
        cam_median_r: smallest median Pearson correlation of class-activation maps.
        cam_same_peak: smallest share of images whose map peaks in the same cell.
        temperature_excess: the labels must not show that the temperature is more than this many times too high,
            which would shrink every difference of probabilities. At least 1.
    """

    p99_probability: float
    max_probability: float
    rms_logit_share: float
    flip_share: float
    auc_margin: float
    sensitivity_margin: float
    specificity_margin: float
    cam_median_r: float
    cam_same_peak: float
    temperature_excess: float

    def to_json(self) -> dict[str, float]:
        """A JSON-ready mapping that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any, place: str) -> Tolerances:
        """The limits that `to_json` wrote.

        Raises:
            BundleError: a limit is missing, unknown, no number or out of range.
        """
        section = Fields(value, place)
        limits = {limit.name: section.number(limit.name, *RANGES.get(limit.name, SHARE)) for limit in fields(cls)}
        section.finish()
        return cls(**limits)
