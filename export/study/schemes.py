"""The table of schemes: what is compared, under which name, and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from calibration.ranges import DEFAULT_METHOD, RangeMethod
from cxr_edge.errors import UsageError
from export.half import to_fp16, to_int8_fp16, with_fp16_scales
from export.int8 import Int8Options
from export.int8.weights import ROUNDINGS, Rounding
from export.plain_int8 import RangeMethod as PlainMethod
from export.plain_int8 import quantised_by_nncf, quantised_by_onnxruntime
from export.release_options import CPU_INT8
from export.study.material import Material

__all__ = ["IMAGE_COUNTS", "Family", "Scheme", "Table", "chosen_schemes", "schemes"]

Family = Literal["plain", "ours", "half"]
Table = Literal["schemes", "options", "images", "half"]

IMAGE_COUNTS = (32, 64, 128, 256, 400)
"""Numbers of range images whose effect is studied."""

DEFAULT = Int8Options()
CONV_INPUTS = replace(DEFAULT, layout="conv-inputs", unsigned_hidden=False, clamp=False)
ALL_INT8 = replace(CONV_INPUTS, layout="all-int8")
NEAREST = Int8Options(rounding="nearest", bias_correction=False)
MIN_MAX = RangeMethod()
PER_TENSOR = RangeMethod(granularity="tensor")

SHIPPED_ROUNDING: Rounding = "output-error"
"""Of the weights in the default bundle, see docs/default-model.md; other bundles may have been made otherwise."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of making a fast model.

    Attributes:
        name: unique, in records and on the command line.
        title: for the tables.
        family: who made the method.
        table: where it is shown.
        range_images: how many images ranges come from; 0 where none are needed.
        build: makes the model file's bytes.
        emulated: run it with FP16 rounding emulated, on ONNX Runtime alone.
    """

    name: str
    title: str
    family: Family
    table: Table
    range_images: int
    build: Callable[[Material], bytes]
    emulated: bool = False


def schemes(count: int, image_counts: Sequence[int] = IMAGE_COUNTS) -> tuple[Scheme, ...]:
    """Every scheme.

    Args:
        count: range images of every scheme that does not study their number.
        image_counts: numbers of range images to study.
    """
    return (
        *half_schemes(count),
        *plain_schemes(count),
        *our_schemes(count),
        *option_schemes(count),
        *of_each_count(image_counts),
    )


def chosen_schemes(every: Sequence[Scheme], names: Sequence[str]) -> tuple[Scheme, ...]:
    """The schemes of these names, or all where no name is given.

    Raises:
        UsageError: a name that there is not.
    """
    unknown = sorted(set(names) - {scheme.name for scheme in every})
    if unknown:
        known = ", ".join(scheme.name for scheme in every)
        raise UsageError(f"scheme {unknown[0]!r} is unknown; known are {known}")
    return tuple(scheme for scheme in every if not names or scheme.name in names)


def half_schemes(count: int) -> tuple[Scheme, ...]:
    """FP16, and INT8 between FP16, every stored tensor rounded; and what FP16 numbers as weight scales cost alone."""
    int8 = stored(CONV_INPUTS, MIN_MAX, count)
    shipped = stored(replace(CONV_INPUTS, rounding=SHIPPED_ROUNDING), DEFAULT_METHOD, count)
    return (
        Scheme("fp16", "`model.fp16.onnx`", "half", "half", 0, lambda material: to_fp16(material.subject.fp32), True),
        Scheme(
            "int8-fp16-scales",
            "the same integers and scales in FP32 (`model.int8.onnx` in this layout)",
            "half",
            "half",
            count,
            int8,
        ),
        Scheme("int8-fp16", "`model.int8-fp16.onnx`", "half", "half", count, lambda m: to_int8_fp16(int8(m)), True),
        Scheme(
            "shipped-int8-fp16",
            f"**`model.int8-fp16.onnx`, ranges + {DEFAULT_METHOD.margin:.0%}, `--int8-rounding {SHIPPED_ROUNDING}`**",
            "half",
            "half",
            count,
            lambda material: to_int8_fp16(shipped(material)),
            True,
        ),
    )


def plain_schemes(count: int) -> tuple[Scheme, ...]:
    """The libraries' own ways."""
    methods: tuple[tuple[PlainMethod, str], ...] = (
        ("min-max", "ONNX Runtime, conv inputs, min-max"),
        ("percentile", "ONNX Runtime, conv inputs, 99.99 percentile"),
        ("entropy", "ONNX Runtime, conv inputs, entropy"),
    )
    onnxruntime = [plain(f"ort-{method}", title, method, count, "schemes") for method, title in methods]
    nncf = Scheme(
        "nncf",
        "NNCF ONNX back end, mixed preset, all of it INT8",
        "plain",
        "schemes",
        count,
        lambda material: quantised_by_nncf(material.subject.fp32, material.images.stacked(count)),
    )
    return (*onnxruntime, nncf)


def plain(name: str, title: str, method: PlainMethod, count: int, table: Table) -> Scheme:
    """ONNX Runtime's static quantisation on so many images."""

    def build(material: Material) -> bytes:
        return quantised_by_onnxruntime(material.subject.fp32, material.images.stacked(count), method)

    return Scheme(name, title, "plain", table, count, build)


def our_schemes(count: int) -> tuple[Scheme, ...]:
    """From one scale a tensor to everything that we do, one step at a time; what a bundle holds is marked."""
    nearest, search, output = (Int8Options(rounding=name) for name in ROUNDINGS)
    per_channel = "conv inputs per channel with shift (2, 3)"
    everywhere = "all INT8 per channel (2, 3, 4)"
    rows: tuple[tuple[str, str, Int8Options, RangeMethod], ...] = (
        ("conv-per-tensor", "conv inputs, one scale a tensor, nearest rounding", NEAREST, PER_TENSOR),
        (
            "conv-per-tensor-bias",
            "conv inputs, one scale a tensor, nearest rounding, bias correction",
            nearest,
            PER_TENSOR,
        ),
        ("conv-nearest", f"{per_channel}, nearest rounding", NEAREST, MIN_MAX),
        ("conv-nearest-bias", f"{per_channel}, nearest rounding, bias correction", nearest, MIN_MAX),
        ("conv-scale-search", f"{per_channel}, weight scales by output error, bias correction", search, MIN_MAX),
        ("conv-output-error", f"{per_channel}, rounding by output error, bias correction", output, MIN_MAX),
        (
            "all-per-tensor",
            "all INT8, one grid for each tensor, nearest rounding",
            everywhere_in_int8(NEAREST),
            PER_TENSOR,
        ),
        ("all-nearest", f"{everywhere}, nearest rounding", everywhere_in_int8(NEAREST), MIN_MAX),
        ("all-nearest-bias", f"{everywhere}, nearest rounding, bias correction", everywhere_in_int8(nearest), MIN_MAX),
        (
            "all-output-error",
            f"{everywhere}, rounding by output error, bias correction",
            everywhere_in_int8(output),
            MIN_MAX,
        ),
        ("all-clamp", "all INT8 in clamp form (2, 4, 5)", replace(ALL_INT8, clamp=True), MIN_MAX),
    )
    found = (ours(name, title, options, method, count, "schemes") for name, title, options, method in rows)
    return (*found, *exported(count))


def exported(count: int) -> tuple[Scheme, Scheme]:
    """What ``cxr-edge export`` writes unless it is told otherwise, and as it was told for the default bundle."""
    usual = f"`model.int8.onnx` as exported: {CPU_INT8.layout}, UINT8, ranges + {DEFAULT_METHOD.margin:.0%}"
    told = f"**the same, `--int8-rounding {SHIPPED_ROUNDING}`**"
    as_usual, as_told = (
        stored(options, DEFAULT_METHOD, count) for options in (CPU_INT8, replace(CPU_INT8, rounding=SHIPPED_ROUNDING))
    )
    return (
        Scheme("exported", usual, "ours", "schemes", count, as_usual),
        Scheme("shipped", told, "ours", "schemes", count, as_told),
    )


def stored(options: Int8Options, method: RangeMethod, count: int) -> Callable[[Material], bytes]:
    """Makes our INT8 as a bundle stores it: with scales that are numbers of FP16."""
    return lambda material: with_fp16_scales(material.int8(options, method, count))


def everywhere_in_int8(options: Int8Options) -> Int8Options:
    """The same with the concatenation in INT8."""
    return replace(options, layout="all-int8")


def option_schemes(count: int) -> tuple[Scheme, ...]:
    """Our two layouts with one option changed."""
    rows: list[tuple[str, str, Int8Options, RangeMethod]] = [
        ("conv-no-bias", "conv inputs, no bias correction", replace(CONV_INPUTS, bias_correction=False), MIN_MAX),
        ("conv-unsigned", "conv inputs, activations as UINT8", replace(CONV_INPUTS, unsigned_hidden=True), MIN_MAX),
        ("all-unsigned", "all INT8, activations as UINT8", replace(ALL_INT8, unsigned_hidden=True), MIN_MAX),
        ("conv-every-layer", "conv inputs, stem and head quantised too", replace(CONV_INPUTS, keep_float=()), MIN_MAX),
        ("conv-entropy", "conv inputs, ranges by entropy", CONV_INPUTS, RangeMethod("entropy")),
    ]
    rows += [
        (f"conv-percentile-{share}", f"conv inputs, ranges at the {share} percentile", CONV_INPUTS, method)
        for share, method in ((share, RangeMethod("percentile", percentile=share)) for share in (99.9, 99.99))
    ]
    rows += [
        (
            f"conv-damping-{value}",
            f"conv inputs, damping exponent {value}",
            replace(CONV_INPUTS, damping=value),
            MIN_MAX,
        )
        for value in (0.5, 0.7, 0.9)
    ]
    rows += [
        (f"conv-margin-{value}", f"conv inputs, ranges widened by {value:.0%}", CONV_INPUTS, RangeMethod(margin=value))
        for value in (0.05, 0.2)
    ]
    return tuple(ours(name, title, options, method, count, "options") for name, title, options, method in rows)


def of_each_count(counts: Sequence[int]) -> tuple[Scheme, ...]:
    """Our two layouts and the plain tool's best method on different numbers of range images."""
    rows = []
    for count in counts:
        rows.append(ours(f"conv-inputs-{count}", "ours, conv inputs", CONV_INPUTS, MIN_MAX, count, "images"))
        rows.append(ours(f"all-int8-{count}", "ours, all INT8", ALL_INT8, MIN_MAX, count, "images"))
        rows.append(plain(f"ort-percentile-{count}", "ONNX Runtime, 99.99 percentile", "percentile", count, "images"))
    return tuple(rows)


def ours(name: str, title: str, options: Int8Options, method: RangeMethod, count: int, table: Table) -> Scheme:
    """Our INT8 on so many images."""
    return Scheme(name, title, "ours", table, count, lambda material: material.int8(options, method, count))
