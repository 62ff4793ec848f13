"""Figures of the study's record: what hiding each part does to a run's models, and where their evidence lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import DatasetError
from training.occlusion.figures import Effect, EvidenceFigures, OcclusionSummary, RunFigures
from training.occlusion.hiding import WAYS
from training.occlusion.parts import PARTS
from training.occlusion.record import OcclusionHeader, OcclusionRecord, OcclusionStudy
from training.reproduce.resampling import (
    Floats,
    SplitOutcome,
    auc,
    interval_of,
    mean_over_splits,
    patient_weights,
    ratio,
)

__all__ = ["summary_of"]


def summary_of(study: OcclusionStudy) -> OcclusionSummary:
    """The figures of every run on record.

    Raises:
        DatasetError: no model is on record.
    """
    if not study.lines:
        raise DatasetError("no model is on record; let the measurement go on")
    used = sorted({number for line in study.lines for number in line.images})
    weights = patient_weights(study.header.labels, study.header.patients, used, study.header.seed)
    runs = dict.fromkeys(line.run for line in study.lines)
    return OcclusionSummary(
        datasets=study.header.datasets,
        labels_sha256=study.header.labels_sha256,
        release_fold=study.header.release_fold,
        versions={name: version for line in study.lines for name, version in line.versions.items()},
        runs=tuple(
            run_figures([line for line in study.lines if line.run == run], study.header, weights) for run in runs
        ),
    )


def run_figures(lines: Sequence[OcclusionRecord], header: OcclusionHeader, weights: Floats) -> RunFigures:
    """The figures of one run's models."""
    plain = [auc(outcome(line, line.logits, header), weights) for line in lines]
    return RunFigures(
        run=lines[0].run,
        variant=lines[0].variant,
        members=tuple(line.member for line in lines),
        images=sum(len(line.images) for line in lines),
        without_lungs=sum(line.without_lungs for line in lines),
        auc=interval_of(mean_over_splits(plain)),
        effects=tuple(effect_of(part, way, lines, header, weights, plain) for part in PARTS for way in WAYS),
        evidence=evidence_of(lines, header, weights),
        maps={
            "normal": mean_map([line.maps["normal"] for line in lines]),
            "abnormal": mean_map([line.maps["abnormal"] for line in lines]),
            "lungs": mean_map([line.lungs for line in lines]),
        },
    )


def mean_map(maps: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Mean of the models' maps, each weighed alike; empty where no model has one."""
    known = [values for values in maps if values]
    return tuple(np.mean(known, axis=0).round(4).tolist()) if known else ()


def effect_of(
    part: str,
    way: str,
    lines: Sequence[OcclusionRecord],
    header: OcclusionHeader,
    weights: Floats,
    plain: Sequence[Floats],
) -> Effect:
    """What hiding one part in one way does.

    Args:
        part: what is hidden.
        way: how.
        lines: of the run's models.
        header: of the record.
        weights: how often each image counts in each bootstrap sample.
        plain: AUC of each model in each sample with nothing hidden.
    """
    key = f"{part}/{way}"
    areas = [auc(outcome(line, line.hidden[key], header), weights) for line in lines]
    numbers = np.concatenate([line.images for line in lines]).astype(np.intp)
    before = sigmoid([logit for line in lines for logit in line.logits])
    after = sigmoid([logit for line in lines for logit in line.hidden[key]])
    counted = weights[:, numbers]
    return Effect(
        part=part,
        way=way,
        share=float(np.average([line.shares[part] for line in lines], weights=[len(line.images) for line in lines])),
        auc=interval_of(mean_over_splits(areas)),
        change=interval_of(mean_over_splits([area - base for area, base in zip(areas, plain, strict=True)])),
        shift=interval_of(weighted_mean(np.abs(after - before), counted)),
        decisions=interval_of(weighted_mean((after >= 0.5) != (before >= 0.5), counted)),
    )


def evidence_of(
    lines: Sequence[OcclusionRecord], header: OcclusionHeader, weights: Floats
) -> dict[str, EvidenceFigures]:
    """Where the evidence of a run's models lies, in all images and by true class; images without evidence left out."""
    found = [
        (number, share, covered)
        for line in lines
        for number, share, covered in zip(line.images, line.evidence, line.covered, strict=True)
        if share is not None
    ]
    labels = np.asarray(header.labels)
    figures = {}
    for name, classes in (("all", (0, 1)), ("normal", (0,)), ("abnormal", (1,))):
        chosen = [one for one in found if labels[one[0]] in classes]
        if not chosen:
            continue
        numbers, shares, covered = (np.array(column) for column in zip(*chosen, strict=True))
        counted = weights[:, numbers.astype(np.intp)]
        figures[name] = EvidenceFigures(
            interval_of(weighted_mean(shares, counted)),
            interval_of(weighted_mean(covered, counted)),
            interval_of(weighted_mean(shares - covered, counted)),
        )
    return figures


def outcome(line: OcclusionRecord, logits: Sequence[float], header: OcclusionHeader) -> SplitOutcome:
    """A model's logits with what is true of their images."""
    numbers = np.array(line.images, np.intp)
    values = np.array(logits)
    return SplitOutcome(numbers, np.asarray(header.labels)[numbers] == 1, values, values >= 0)


def weighted_mean(values: NDArray[np.generic], counted: Floats) -> Floats:
    """Mean of a figure of each image in every bootstrap sample, ``[samples]``."""
    return ratio(counted @ values.astype(np.float64), counted.sum(axis=1))


def sigmoid(logits: Sequence[float]) -> Floats:
    """Uncalibrated probabilities."""
    probabilities: Floats = 1.0 / (1.0 + np.exp(-np.asarray(logits, np.float64)))
    return probabilities
