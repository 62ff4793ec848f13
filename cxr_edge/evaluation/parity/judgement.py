"""From outputs to verdicts: the figures of every candidate, held against its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxr_edge.bundle import Bundle
from cxr_edge.engines import EngineDescription
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.parity.candidates import Candidate
from cxr_edge.evaluation.parity.inferiority import Inferiority, inferiority
from cxr_edge.evaluation.parity.measures import agreement
from cxr_edge.evaluation.parity.outputs import Outputs
from cxr_edge.evaluation.parity.report import Comparison
from cxr_edge.evaluation.parity.tolerances import artefact_of, checks, loosened, tolerances_of
from cxr_edge.evaluation.predictions import Predictions
from cxr_edge.evaluation.reliability import calibration_line
from cxr_edge.labels import LabelledImage
from cxr_edge.probability import Interval, OperatingPoint, Temperature

__all__ = ["Judgement", "judged"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Every comparison, the calibration slope they share, and why labelled figures are missing, if they are."""

    comparisons: tuple[Comparison, ...]
    calibration_slope: Interval | None
    unlabelled: str


def judged(
    bundle: Bundle,
    images: Sequence[LabelledImage],
    outputs: Sequence[Outputs],
    descriptions: Sequence[EngineDescription],
    candidates: Sequence[Candidate],
    operating_point: OperatingPoint,
) -> Judgement:
    """Figures and verdicts.

    Args:
        bundle: gives temperature and limits.
        images: that every model saw.
        outputs: of the reference, then of each candidate.
        descriptions: of each candidate.
        candidates: in the same order.
        operating_point: decides.

    Raises:
        DatasetError: the reference gives all images the same logit.
    """
    manifest, reference = bundle.manifest, outputs[0]
    labelled, unlabelled = _predictions(images, reference)
    slope = None if labelled is None else steepest_slope(labelled, manifest.temperature, [i.dataset for i in images])
    comparisons = []
    for candidate, engine, own in zip(candidates, descriptions, outputs[1:], strict=True):
        artefact = artefact_of(candidate.engine, candidate.precision)
        tolerances = tolerances_of(manifest.models[candidate.precision], artefact)
        found = agreement(reference, own, manifest.temperature, operating_point)
        worse, missing = _inferiority(labelled, own, operating_point, unlabelled)
        comparisons.append(
            Comparison(
                engine=engine,
                emulated=candidate.emulated,
                tolerances=tolerances,
                loosened=loosened(tolerances, artefact),
                outputs=own,
                agreement=found,
                inferiority=worse,
                checks=checks(found, tolerances, worse, slope, missing),
            )
        )
    return Judgement(tuple(comparisons), slope, unlabelled)


def steepest_slope(labelled: Predictions, temperature: Temperature, datasets: Sequence[str]) -> Interval | None:
    """The calibration slope of the data set that speaks most clearly for a temperature that is too high.

    Each data set is asked alone: where a model decides worse, its best temperature is higher, and pooled with such
    images a raised temperature would look right.

    Args:
        labelled: labels, logits and patients.
        temperature: of the bundle.
        datasets: each image's data set.

    Returns:
        The slope whose interval has the highest lower end, with the data set in its method; None where no data set
        has both classes, overlapping.
    """
    found = []
    for name in dict.fromkeys(datasets):
        part = labelled.chosen(np.array(datasets) == name)
        line = calibration_line(part.labels, part.logits / temperature.value, part.patients)
        if line is not None:
            found.append(replace(line.slope, method=f"{line.slope.method}, {name}"))
    return max(found, key=lambda slope: slope.low, default=None)


def _predictions(images: Sequence[LabelledImage], reference: Outputs) -> tuple[Predictions | None, str]:
    """The reference's logits with their labels; or None, and why labels cannot give figures."""
    labels = [image.label for image in images]
    without = sum(label is None for label in labels)
    if without:
        return None, f"{without} of {len(labels)} images have no label"
    if len(set(labels)) < 2:
        return None, f"all {len(labels)} images are {'abnormal' if labels[0] else 'normal'}"
    patients = [f"{image.dataset}/{image.patient_id}" for image in images]
    return Predictions.of(np.array(labels), reference.logits, patients=patients), ""


def _inferiority(
    labelled: Predictions | None, own: Outputs, point: OperatingPoint, unlabelled: str
) -> tuple[Inferiority | None, str]:
    if labelled is None:
        return None, unlabelled
    try:
        return inferiority(labelled, own.logits, point), ""
    except DatasetError as error:  # a class with one patient: its figures have no interval
        return None, str(error)
