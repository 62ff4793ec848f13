"""What preprocessing does to a radiograph, as data that travels in manifests and run records."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from cxr_edge.errors import BundleError
from cxr_edge.records import Box, Radiograph

__all__ = ["CONTRASTS", "VARIANTS", "Contrast", "LinearMap", "NotFound", "PreprocessSpec", "Variant", "linear_map"]

Variant = Literal["full", "body", "lungs", "lungs-masked"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

NotFound = Literal["refuse", "body"]
NOT_FOUND: tuple[NotFound, ...] = get_args(NotFound)

Contrast = Literal["none", "equalised", "clahe"]
CONTRASTS: tuple[Contrast, ...] = get_args(Contrast)

MAX_MARGIN = 100
"""Largest margin around the lungs, percent of their box: three times its side, which no chest X-ray exceeds."""

LUNG_FIELDS = ("margin", "not_found")
MASK_FIELDS = ("outside",)


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """Parameters of preprocessing.

    Attributes:
        height, width: size of the network's input, pixels.
        mean, std: normalisation of display values in [0, 1] (black to white); the network sees ``(x - mean) / std``.
        variant: which part of the frame is shown to the network, stretched to its input: ``"full"`` the whole frame;
            ``"body"`` without black borders and collimation bars; ``"lungs"`` the lungs' bounding box with a margin;
            ``"lungs-masked"`` the same, with everything outside the lungs set to ``outside``.
        margin: share of the lungs' box that is added on each of its sides, whole percent of the side's length.
        outside: display value in [0, 1] that replaces what is outside the lungs, for ``"lungs-masked"``.
        not_found: what becomes of an image in which no lungs are found: ``"refuse"`` it, or show its ``"body"``.
        contrast: change of the grey scale at the network's size: ``"none"``; ``"equalised"``, a flat histogram; or
            ``"clahe"``, one flattened tile by tile, with bounded slope.

    Raises:
        BundleError: a value of another type or out of range, or one that the variant has no use for: two specs that
            mean the same are equal.
    """

    height: int = 224
    width: int = 224
    mean: float = 0.5
    std: float = 0.5
    variant: Variant = "full"
    margin: int = 0
    outside: float = 0.0
    not_found: NotFound = "refuse"
    contrast: Contrast = "none"

    def __post_init__(self) -> None:
        if not (1 <= self.height <= 4096 and 1 <= self.width <= 4096):
            raise BundleError(f"preprocess size {self.height}x{self.width} is outside 1..4096")
        if not self.std > 0:
            raise BundleError(f"preprocess std {self.std} must be positive")
        for name, known in (("variant", VARIANTS), ("not_found", NOT_FOUND), ("contrast", CONTRASTS)):
            if getattr(self, name) not in known:
                raise BundleError(
                    f"preprocess {name} {getattr(self, name)!r} is unknown to this version; it knows {', '.join(known)}"
                )
        self._check_region()

    def _check_region(self) -> None:
        if not _is_number(self.margin, int) or not 0 <= self.margin <= MAX_MARGIN:
            raise BundleError(f"preprocess margin {self.margin!r} is no whole number of percent from 0 to {MAX_MARGIN}")
        if not _is_number(self.outside, int | float) or not 0 <= self.outside <= 1:
            raise BundleError(f"preprocess outside {self.outside!r} is no display value from 0 (black) to 1 (white)")
        unused = [name for name in self._unused_fields() if getattr(self, name) != DEFAULTS[name]]
        if unused:
            raise BundleError(f"preprocess {unused[0]} means nothing to variant {self.variant!r}; leave it out")

    def _unused_fields(self) -> tuple[str, ...]:
        """Fields that this variant has no use for."""
        unused = () if self.needs_lungs else LUNG_FIELDS
        return unused if self.variant == "lungs-masked" else unused + MASK_FIELDS

    @property
    def needs_lungs(self) -> bool:
        """Whether a lung localiser has to look at each image."""
        return self.variant in ("lungs", "lungs-masked")

    @property
    def is_plain(self) -> bool:
        """Whether the network sees the whole frame with its own grey scale, so that four steps are all of it."""
        return self.variant == "full" and self.contrast == "none"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal spec.

        Fields that came after the first bundles are left out where they say nothing, so that what wrote and read those
        still does: a full frame is the same text as ever.
        """
        silent = set(self._unused_fields()) | ({"contrast"} if self.contrast == "none" else set())
        return {name: value for name, value in asdict(self).items() if name not in silent}

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


DEFAULTS = {field.name: field.default for field in fields(PreprocessSpec)}


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


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
