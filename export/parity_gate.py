"""The release gate: does every precision of a bundle decide like its FP32 model, and which engines have shown it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from cxr_edge.bundle import Bundle, ModelEntry
from cxr_edge.errors import CheckFailedError, DatasetError
from cxr_edge.evaluation.parity import (
    Check,
    Comparison,
    ParityImages,
    ParityReport,
    Reference,
    check_words,
    measure_parity,
)

__all__ = ["GateOutcome", "hold_gate"]

MAY_BE_MISSING = ("temperature_excess",)
"""Figures that labels of both classes cannot always give: none where a threshold separates the classes."""


@dataclass(frozen=True, slots=True, eq=False)
class GateOutcome:
    """What the gate found.

    Attributes:
        report: the parity measurement.
    """

    report: ParityReport

    @property
    def held(self) -> bool:
        """Whether every comparison holds every limit, and each that matters was measured."""
        return not self.faults

    @property
    def faults(self) -> tuple[str, ...]:
        """What keeps the bundle from release, one phrase each."""
        return tuple(
            f"{comparison.name}: {check_words(check)}"
            for comparison in self.report.comparisons
            for check in comparison.checks
            if not fine(check)
        )

    def entries(self, models: Mapping[str, ModelEntry]) -> dict[str, ModelEntry]:
        """The manifest's models with the engines that passed: those that really ran and hold every limit."""
        return {
            precision: replace(
                entry,
                parity_passed=tuple(
                    engine
                    for engine in entry.engines
                    if (engine, precision) == (self.report.reference.name, self.report.reference.precision)
                    or any(ran(comparison, engine, precision) for comparison in self.report.comparisons)
                ),
            )
            for precision, entry in models.items()
        }

    def require(self) -> None:
        """Return when the gate holds.

        Raises:
            CheckFailedError: it does not; the message lists every fault.
        """
        if self.faults:
            raise CheckFailedError(
                "the parity gate does not hold, so no bundle is written (--force writes one that is marked as not "
                "released):\n  " + "\n  ".join(self.faults)
            )


def hold_gate(
    bundle: Bundle,
    images: ParityImages,
    *,
    stand_ins: Mapping[str, Reference] = MappingProxyType({}),
    reference: Reference | None = None,
    threads: int | None = None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> GateOutcome:
    """Measure every engine and precision that this machine has on images that nothing was fitted on.

    Args:
        bundle: a draft, or a bundle under suspicion.
        images: with labels of both classes.
        stand_ins: emulations by precision, as for `measure_parity`; they can keep a bundle from release, and never
            let an engine pass.
        reference: as for `measure_parity`.
        threads: of each engine.
        on_image: called with the number of images done and of all.

    Raises:
        DatasetError: labels are missing or of one class only, or an image cannot be read: the figures that a release
            rests on would leave something out.
        SeenDataError: the bundle has seen some of the images.
        EngineError: an engine fails, or there is nothing to compare.
    """
    _check_labels(images)
    report = measure_parity(
        bundle, images, stand_ins=stand_ins, reference=reference, threads=threads, on_image=on_image
    )
    if report.failed:
        first = report.failed[0]
        raise DatasetError(f"{len(report.failed)} parity images could not be read, first {first.name}: {first.reason}")
    return GateOutcome(report)


def fine(check: Check) -> bool:
    """Whether a check keeps no bundle from release."""
    return check.name in MAY_BE_MISSING if check.held is None else check.held


def ran(comparison: Comparison, engine: str, precision: str) -> bool:
    """Whether a comparison shows that an engine itself, not an emulation of it, passed with a precision."""
    same = (comparison.engine.name, comparison.engine.precision) == (engine, precision)
    return same and not comparison.emulated and all(fine(check) for check in comparison.checks)


def _check_labels(images: ParityImages) -> None:
    labels = {image.label for image in images.images}
    if not labels >= {0, 1} or None in labels:
        found = "without labels" if None in labels else f"all of class {next(iter(labels))}"
        raise DatasetError(
            f"parity images {found} cannot show that sensitivity and specificity are kept: a release needs normal and "
            "abnormal images, all labelled"
        )
