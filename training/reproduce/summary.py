"""Figures of a study's record: every cell's, and what each input variant gains on the whole frame.

The threshold of a split is the largest Youden index on the predictions of the *other* splits of its repeat, each by a
model that had not seen the image: those are the images that the split's own model learns from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np

from calibration.operating_point import best_threshold, largest_youden
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import Predictions
from training.reproduce.cells import Cell
from training.reproduce.figures import CellFigures, Comparison, StudySummary
from training.reproduce.plan import TEST
from training.reproduce.record import PredictionRecord, StudyHeader, StudyRecord
from training.reproduce.resampling import (
    Floats,
    SplitOutcome,
    accuracy,
    auc,
    interval_of,
    mean_over_splits,
    patient_weights,
    share,
)

__all__ = ["summary_of"]


def summary_of(record: StudyRecord) -> StudySummary:
    """The figures of a record.

    Raises:
        DatasetError: no cell has two splits of a repeat, so that no threshold can be chosen.
    """
    lines = [line for line in record.predictions if line.scored]
    outcomes = {name: outcomes_of(name, record) for name in dict.fromkeys(line.cell for line in lines)}
    outcomes = {name: found for name, found in outcomes.items() if found}
    if not outcomes:
        raise DatasetError("no cell on record has enough splits to choose a threshold on; let the study go on")
    used = sorted({number for line in lines for number in line.held_out})
    header = record.header
    weights = patient_weights(header.labels, header.patients, used, header.seed)
    cells = [cell_figures(name, record, found, weights) for name, found in outcomes.items()]
    versions = [line.versions for line in record.predictions]
    return StudySummary(
        datasets=header.datasets,
        labels_sha256=header.labels_sha256,
        images_sha256=header.images_sha256,
        where=header.where,
        release_fold=header.release_fold,
        paper_split=header.paper_split,
        quick=header.quick,
        seed=header.seed,
        images=len(used),
        abnormal=sum(header.labels[number] for number in used),
        patients=len({header.patients[number] for number in used}),
        record_sha256=sha256("".join(f"{line.cell}{line.split}{line.logits}" for line in lines).encode()).hexdigest(),
        versions={name: version for made_by in versions for name, version in made_by.items()},
        cells=tuple(cells),
        comparisons=tuple(compared(outcomes, weights)),
    )


Outcomes = dict[tuple[int, str], SplitOutcome]
"""A cell's splits by repeat and name."""


def outcomes_of(cell: str, record: StudyRecord) -> Outcomes:
    """The scored splits of a cell for which a threshold can be chosen."""
    lines = [line for line in record.predictions if line.cell == cell]
    found: Outcomes = {}
    for line in lines:
        others = [o for o in lines if o.repeat == line.repeat and o.split not in (line.split, TEST)]
        if line.scored and others:
            numbers = np.array(line.held_out, np.intp)
            logits = np.array(line.logits)
            abnormal = np.array(record.header.labels)[numbers] == 1
            found[line.repeat, line.split] = SplitOutcome(
                numbers, abnormal, logits, logits >= threshold_on(others, record.header)
            )
    return found


def threshold_on(lines: Sequence[PredictionRecord], header: StudyHeader) -> float:
    """The threshold with the largest Youden index on some splits' predictions."""
    labels = [header.labels[number] for line in lines for number in line.held_out]
    logits = [logit for line in lines for logit in line.logits]
    return best_threshold(Predictions.of(labels, logits), largest_youden)


def cell_figures(cell: str, record: StudyRecord, outcomes: Outcomes, weights: Floats) -> CellFigures:
    """The figures of one cell."""
    lines = [line for line in record.predictions if line.cell == cell and (line.repeat, line.split) in outcomes]
    repeats = {line.repeat for line in lines}
    planned = {(o.repeat, o.split) for o in record.predictions if o.scored and o.repeat in repeats}
    splits = list(outcomes.values())
    areas = [auc(split, weights) for split in splits]
    return CellFigures(
        cell=cell,
        splits=len(splits),
        planned=len(planned),
        repeats=len(repeats),
        trained_on=(min(line.trained_on for line in lines), max(line.trained_on for line in lines)),
        auc=interval_of(mean_over_splits(areas)),
        accuracy=interval_of(mean_over_splits([accuracy(split, weights) for split in splits])),
        sensitivity=interval_of(
            mean_over_splits([share(split, weights, split.called, split.abnormal) for split in splits])
        ),
        specificity=interval_of(
            mean_over_splits([share(split, weights, ~split.called, ~split.abnormal) for split in splits])
        ),
        auc_range=(min(float(area[0]) for area in areas), max(float(area[0]) for area in areas)),
        source=lines[0].source,
        training=training_of(lines[0]),
    )


def training_of(line: PredictionRecord) -> str:
    """Sizes and epochs, earlier runs first; the size alone where the backbone was frozen."""
    if "stages" not in line.config:
        return f"frozen at {line.config['preprocess']['height']}"
    runs = [*reversed(line.config.get("earlier", [])), line.config]
    parts = [f"{stage['size']}x{stage['epochs']}" for run in runs for stage in run["stages"]]
    return ", ".join(parts)


def compared(outcomes: dict[str, Outcomes], weights: Floats) -> list[Comparison]:
    """Each cell of another variant with the one that sees the whole frame and is otherwise the same."""
    found = []
    for name in outcomes:
        against = replace(Cell.parse(name), variant="full").name
        common = sorted(set(outcomes[name]) & set(outcomes.get(against, {})))
        if against == name or not common:
            continue
        pairs = [(outcomes[name][key], outcomes[against][key]) for key in common]
        found.append(
            Comparison(
                cell=name,
                against=against,
                splits=len(pairs),
                auc=interval_of(mean_over_splits([auc(a, weights) - auc(b, weights) for a, b in pairs])),
                accuracy=interval_of(mean_over_splits([accuracy(a, weights) - accuracy(b, weights) for a, b in pairs])),
            )
        )
    return found
