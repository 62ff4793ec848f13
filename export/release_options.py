"""What an export is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calibration.ranges.images import DEFAULT_COUNT
from cxr_edge.bundle import PRECISIONS, Tolerances
from export.int8 import NO_LIMITS, Int8Options, ShiftLimits

__all__ = ["CPU_INT8", "ReleaseOptions", "ShiftLimits"]

CPU_INT8 = Int8Options(layout="all-int8", unsigned_hidden=True)
"""How ``model.int8.onnx`` is made: the form in which ONNX Runtime and OpenVINO compute nearly everything in 8 bits."""


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """What a bundle is called, what it holds, and what it is measured on.

    Attributes:
        name, version: of the model.
        precisions: with ``"fp32"``.
        ranges_data: label file that INT8 ranges come from; None means the development folds of the run's own.
        range_images: how many of its images.
        parity_data: label files of unseen images, each with its own filter if need be (see `parity_images`), that
            parity is measured on beside the release fold.
        checkpoint: hold every precision against this checkpoint in torch instead of the FP32 graph.
        pooled: measure INT8 parity over the whole cross-validation, too: minutes a fold.
        int8: how INT8 is made.
        shift_limits: layers of INT8 go back to float until these hold on the range images.
        tolerances: limits by artefact, in place of the usual ones.
        subgroups: columns of the model card's subgroup tables.
        external_data: label files of other origin, each with its own filter if need be, that the bundle is measured on
            apart from its own figures.
        external_subgroups: columns of their subgroup tables; each file is tabulated by those that it has.
        parity_report: HTML file of the parity measurement, written whether or not the gate holds; None for none.
        force: write the bundle although its gate does not hold, marked as not released.
        replace: replace a bundle that is there.
    """

    name: str
    version: str
    precisions: tuple[str, ...] = PRECISIONS
    ranges_data: Path | None = None
    range_images: int = DEFAULT_COUNT
    parity_data: tuple[str, ...] = ()
    checkpoint: Path | None = None
    pooled: bool = False
    int8: Int8Options = CPU_INT8
    shift_limits: ShiftLimits = NO_LIMITS
    tolerances: Mapping[str, Tolerances] = field(default_factory=dict)
    subgroups: tuple[str, ...] = ()
    external_data: tuple[str, ...] = ()
    external_subgroups: tuple[str, ...] = ()
    parity_report: Path | None = None
    force: bool = False
    replace: bool = False
