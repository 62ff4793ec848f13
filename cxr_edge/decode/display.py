"""How DICOM pixels display: window, polarity and padding, all in stored units.

Modality and VOI transformations (PS3.3 C.11.1, C.11.2) are linear here, so the window is taken back through the rescale
once instead of carrying every pixel forward. Tables and sigmoids are refused by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from cxr_edge.decode.dicom_dataset import DicomDataset, tag_name
from cxr_edge.decode.image_description import ImageDescription
from cxr_edge.errors import CorruptInputError, UnsupportedInputError
from cxr_edge.records import INT32, MAX_WINDOW_SPAN, Window, full_range

__all__ = ["Display", "describe_display", "window_in_stored_units"]


@dataclass(frozen=True, slots=True)
class Display:
    """Window, polarity and padding of a frame, as `Radiograph` takes them, with where the window came from."""

    window: Window
    inverted: bool
    padding: tuple[int, int] | None
    window_rule: Literal["dicom", "bits stored"]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Ends:
    """Ends of a VOI window in modality units: ``<= lower`` shows one end of the grey scale, ``> upper`` the other."""

    lower: float
    upper: float


def describe_display(dataset: DicomDataset, image: ImageDescription) -> Display:
    """How the header wants the image displayed.

    Raises:
        CorruptInputError: a rescale or window that no image can have; the message names the attribute.
        UnsupportedInputError: a lookup table or non-linear function.
    """
    if "ModalityLUTSequence" in dataset:
        raise UnsupportedInputError(f"DICOM {tag_name('ModalityLUTSequence')} is not supported; a linear rescale is")
    slope, intercept = _rescale(dataset)
    stored = full_range(image.bits_stored, signed=image.signed)
    warnings: list[str] = []
    ends = _voi_ends(dataset, warnings)
    window = stored if ends is None else window_in_stored_units(ends.lower, ends.upper, slope, intercept)
    if window.hi <= stored.lo or window.lo >= stored.hi:
        raise CorruptInputError(
            f"DICOM {tag_name('WindowCenter')} and {tag_name('WindowWidth')} leave every possible pixel black or white"
        )
    _check_presentation_lut(dataset, image, warnings)
    return Display(
        window=window,
        inverted=(image.photometric == "MONOCHROME1") != (slope < 0),
        padding=_padding(dataset, image, warnings),
        window_rule="bits stored" if ends is None else "dicom",
        warnings=tuple(warnings),
    )


def window_in_stored_units(lower: float, upper: float, slope: float, intercept: float) -> Window:
    """The window whose ends, in modality units, are `lower` and `upper`, taken back to stored units.

    Each end is ``(end - intercept) / slope`` rounded half up. A negative slope swaps them. A window narrower than one
    stored unit is the step that it is: the first stored value beyond it displays the far end, the one before the near.

    Raises:
        CorruptInputError: ends outside 32 bits, where no stored value can be.
        UnsupportedInputError: a span above 65,535 stored units.
    """
    first, second = (lower - intercept) / slope, (upper - intercept) / slope
    if not (math.isfinite(first) and math.isfinite(second)):
        raise CorruptInputError(f"DICOM {tag_name('RescaleSlope')} puts the window beyond every number")
    lo, hi = (math.floor(min(first, second) + 0.5), math.floor(max(first, second) + 0.5))
    if lo == hi:
        # "x <= lower" is one end and "x > upper" the other (PS3.3 C.11.2.1.2.1), so a step at 127 or 127.5 lies
        # between 127 and 128; read backwards through a negative slope, a step at 127 lies between 126 and 127.
        lo = math.floor(first) if slope > 0 else math.ceil(second) - 1
        hi = lo + 1
    if hi - lo > MAX_WINDOW_SPAN:
        raise UnsupportedInputError(
            f"DICOM {tag_name('WindowWidth')} spans more than {MAX_WINDOW_SPAN} stored values, all that 16 bits have"
        )
    if lo < INT32.min or hi > INT32.max:
        raise CorruptInputError(f"DICOM {tag_name('WindowCenter')} puts the window beyond every stored value")
    return Window(lo, hi)


def _rescale(dataset: DicomDataset) -> tuple[float, float]:
    slope = next(iter(dataset.numbers("RescaleSlope")), 1.0)
    intercept = next(iter(dataset.numbers("RescaleIntercept")), 0.0)
    if slope == 0:
        raise CorruptInputError(f"DICOM {tag_name('RescaleSlope')} is 0: every pixel would be the same")
    return slope, intercept


def _voi_ends(dataset: DicomDataset, warnings: list[str]) -> _Ends | None:
    """Ends of the first window, or None when the header has none."""
    centers, widths = dataset.numbers("WindowCenter"), dataset.numbers("WindowWidth")
    if bool(centers) != bool(widths):
        missing = tag_name("WindowWidth" if centers else "WindowCenter")
        raise CorruptInputError(f"DICOM {missing} is missing; a window needs center and width")
    if "VOILUTSequence" in dataset:
        if not centers:
            raise UnsupportedInputError(f"DICOM {tag_name('VOILUTSequence')} is not supported; a linear window is")
        # PS3.3 C.11.2: where both are there, one of them is chosen for display
        warnings.append("the file has a VOI LUT and a window; the window was used")
    if not centers:
        return None
    if len(centers) > 1 or len(widths) > 1:
        warnings.append(f"the file has {max(len(centers), len(widths))} windows; the first was used")
    return _ends(centers[0], widths[0], next(iter(dataset.strings("VOILUTFunction")), "LINEAR"))


def _ends(center: float, width: float, function: str) -> _Ends:
    name = tag_name("WindowWidth")
    if function == "LINEAR":
        if width < 1:
            raise CorruptInputError(f"DICOM {name} is {width:g}; it must be at least 1 (PS3.3 C.11.2.1.2.1)")
        return _Ends(center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2)
    if function == "LINEAR_EXACT":
        if width <= 0:
            raise CorruptInputError(f"DICOM {name} is {width:g}; it must be above 0 (PS3.3 C.11.2.1.3.2)")
        return _Ends(center - width / 2, center + width / 2)
    known = "SIGMOID" if function == "SIGMOID" else "unknown"
    raise UnsupportedInputError(f"DICOM {tag_name('VOILUTFunction')} is {known}; supported are LINEAR and LINEAR_EXACT")


def _padding(dataset: DicomDataset, image: ImageDescription, warnings: list[str]) -> tuple[int, int] | None:
    """Inclusive range of stored values that are no measurement (PS3.3 C.7.5.1.1.2), or None."""
    value, limit = dataset.optional_short("PixelPaddingValue"), dataset.optional_short("PixelPaddingRangeLimit")
    if value is None:
        return None
    ends = [_as_stored(end, signed=image.signed) for end in (value, value if limit is None else limit)]
    stored = full_range(image.bits_stored, signed=image.signed)
    if not all(stored.lo <= end <= stored.hi for end in ends):
        warnings.append("PixelPaddingValue (0028,0120) does not fit BitsStored (0028,0101) and was ignored")
        return None
    return min(ends), max(ends)


def _as_stored(value: int, *, signed: bool) -> int:
    """A 16-bit number read as unsigned, as PixelRepresentation wants it read (VR "US or SS")."""
    return value - 65_536 if signed and value >= 32_768 else value


def _check_presentation_lut(dataset: DicomDataset, image: ImageDescription, warnings: list[str]) -> None:
    shape = next(iter(dataset.strings("PresentationLUTShape")), "")
    expected = "INVERSE" if image.photometric == "MONOCHROME1" else "IDENTITY"
    if shape in ("IDENTITY", "INVERSE") and shape != expected:
        warnings.append(
            f"PresentationLUTShape (2050,0020) is {shape} in a {image.photometric} image; "
            "PhotometricInterpretation was followed"
        )
