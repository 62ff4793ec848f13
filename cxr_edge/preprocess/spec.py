"""What preprocessing does to a radiograph, as data that travels in manifests and run records."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from cxr_edge.errors import BundleError
from cxr_edge.records import Box, Radiograph

__all__ = ["LinearMap", "PreprocessSpec", "linear_map"]

Variant = Literal["full"]
VARIANTS: tuple[Variant, ...] = ("full",)


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """Parameters of preprocessing.

    Attributes:
        height, width: size of the network's input, pixels.
        mean, std: normalisation of display values in [0, 1] (black to white); the network sees ``(x - mean) / std``.
        variant: which part of the frame is shown to the network; ``"full"`` stretches the whole frame.
    """

    height: int = 224
    width: int = 224
    mean: float = 0.5
    std: float = 0.5
    variant: Variant = "full"

    def __post_init__(self) -> None:
        if not (1 <= self.height <= 4096 and 1 <= self.width <= 4096):
            raise BundleError(f"preprocess size {self.height}x{self.width} is outside 1..4096")
        if not self.std > 0:
            raise BundleError(f"preprocess std {self.std} must be positive")
        if self.variant not in VARIANTS:
            raise BundleError(
                f"preprocess variant {self.variant!r} is unknown to this version; it knows {', '.join(VARIANTS)}"
            )

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal spec."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PreprocessSpec:
        """The spec that `to_json` wrote.

        Raises:
            BundleError: unknown or missing keys, or values out of range. An unknown key is refused because ignoring
                a preprocessing step would silently change every probability.
        """
        try:
            return cls(**value)
        except TypeError as error:
            raise BundleError(f"preprocess section cannot be read by this version: {error}") from error


@dataclass(frozen=True, slots=True)
class LinearMap:
    """Step 4 of preprocessing: ``float32(double(S) * scale + offset)`` turns an area sum into the network's input."""

    scale: float
    offset: float


def linear_map(radiograph: Radiograph, spec: PreprocessSpec, crop: Box) -> LinearMap:
    """Scale and offset for one frame, computed once on the host so that every implementation uses the same two doubles.

    Args:
        radiograph: gives window and polarity.
        spec: gives mean and standard deviation.
        crop: the part of the frame that is resampled; its area divides the sums.
    """
    area = crop.height * crop.width
    span = radiograph.window.hi - radiograph.window.lo
    scale = 1.0 / (float(area) * float(span) * spec.std)
    if radiograph.inverted:
        return LinearMap(-scale, (1.0 - spec.mean) / spec.std)
    return LinearMap(scale, -spec.mean / spec.std)
