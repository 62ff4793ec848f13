"""The record of one parity measurement: what was compared, on which images, with which outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_edge.bundle import Tolerances
from cxr_edge.engines import EngineDescription
from cxr_edge.evaluation.parity.candidates import Unavailable
from cxr_edge.evaluation.parity.inferiority import Inferiority
from cxr_edge.evaluation.parity.machine import Machine
from cxr_edge.evaluation.parity.measures import Agreement
from cxr_edge.evaluation.parity.outputs import Outputs
from cxr_edge.evaluation.parity.tolerances import Check
from cxr_edge.labels import LabelledImage
from cxr_edge.probability import Interval, OperatingPoint, Temperature, calibrated_probability
from cxr_edge.result import BundleIdentity

__all__ = ["Comparison", "DataSource", "LeftOut", "ParityReport", "image_name"]


@dataclass(frozen=True, slots=True)
class DataSource:
    """One label file: its name, SHA-256, the filters, and how many images they chose."""

    name: str
    sha256: str
    where: tuple[str, ...]
    images: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An image that no model saw, by its name in the label file, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One engine and precision against the reference.

    Attributes:
        engine: what ran.
        emulated: it imitates engines that are not here; they themselves were not measured.
        tolerances: limits it was judged by.
        loosened: names of those limits that are looser than this version's.
        outputs: what it gave for the compared images.
        agreement: label-free figures.
        inferiority: labelled figures, or None.
        checks: every limit with its figure.
    """

    engine: EngineDescription
    emulated: bool
    tolerances: Tolerances
    loosened: tuple[str, ...]
    outputs: Outputs
    agreement: Agreement
    inferiority: Inferiority | None
    checks: tuple[Check, ...]

    @property
    def name(self) -> str:
        """Engine and precision as one word or two."""
        return f"{self.engine.name} {self.engine.precision}{' (emulated)' if self.emulated else ''}"

    @property
    def passed(self) -> bool:
        """Whether no limit is broken; a figure that could not be measured breaks none."""
        return not self.broken

    @property
    def broken(self) -> tuple[Check, ...]:
        """The limits that do not hold."""
        return tuple(check for check in self.checks if check.held is False)

    @property
    def unmeasured(self) -> tuple[Check, ...]:
        """The limits for which there was no figure."""
        return tuple(check for check in self.checks if check.held is None)


@dataclass(frozen=True, slots=True, eq=False)
class ParityReport:
    """One measurement.

    Attributes:
        bundle: what was measured.
        released: whether the bundle was written with its gate passed.
        models: SHA-256 of the file of each precision that was compared.
        created: ISO date and time, UTC.
        reference: what the others were held against.
        temperature, operating_point: of the bundle.
        sources: label files.
        images: that every model saw, in the order of all outputs.
        reference_outputs: what the reference gave for them.
        calibration_slope: of the reference's calibrated logits on the labels of the data set where it is steepest;
            above 1 the temperature is too high. None where labels cannot tell.
        comparisons: one an engine and precision.
        unavailable: engines with precisions that were not compared, and why.
        refused: images that the input gate refused.
        failed: images that could not be read.
        unlabelled: why there are no labelled figures; empty where there are.
        stamp: a caveat that every rendering shows first, or None.
        machine: where it was measured.
    """

    bundle: BundleIdentity
    released: bool
    models: Mapping[str, str]
    created: str
    reference: EngineDescription
    temperature: Temperature
    operating_point: OperatingPoint
    sources: tuple[DataSource, ...]
    images: tuple[LabelledImage, ...]
    reference_outputs: Outputs
    calibration_slope: Interval | None
    comparisons: tuple[Comparison, ...]
    unavailable: tuple[Unavailable, ...]
    refused: tuple[LeftOut, ...]
    failed: tuple[LeftOut, ...]
    unlabelled: str
    stamp: str | None
    machine: Machine

    @property
    def passed(self) -> bool:
        """Whether every limit of every comparison holds."""
        return all(comparison.passed for comparison in self.comparisons)

    @property
    def names(self) -> tuple[str, ...]:
        """How each compared image is called: data set and file as its label file lists it."""
        return tuple(image_name(image) for image in self.images)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The 0/1 label of every compared image, or None where one has none."""
        if any(image.label is None for image in self.images):
            return None
        return np.array([image.label for image in self.images], dtype=np.int64)

    def probabilities(self, outputs: Outputs) -> NDArray[np.float64]:
        """Calibrated probabilities of some outputs, ``[N]``."""
        return calibrated_probability(outputs.logits, self.temperature)

    def worst(self, comparison: Comparison, count: int) -> tuple[int, ...]:
        """Positions of the images whose probability moved most, the largest first; ties by the logit."""
        moved = np.abs(self.probabilities(comparison.outputs) - self.probabilities(self.reference_outputs))
        shift = np.abs(comparison.outputs.logits - self.reference_outputs.logits)
        order = np.lexsort((-shift, -moved))[:count]
        return tuple(int(position) for position in order)


def image_name(image: LabelledImage) -> str:
    """Data set and file, as the label file lists it: no folder of this machine."""
    return f"{image.dataset}/{image.columns['file']}"
