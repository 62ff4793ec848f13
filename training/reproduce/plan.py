"""Which images each model of the study is trained on, and which it then predicts: patient-disjoint, stratified.

Repeat 0 of a cross-validation follows the label file's ``fold`` column; further repeats divide the same images anew.
The paper's own setting holds out a fifth of the images that have lung masks. Four more models, which never see that
fifth, predict each other's images there, and the threshold is chosen on those predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import LabelledImage
from training.dataset import targets_of
from training.splits import cross_validation

__all__ = ["PAPER_PARTS", "TEST", "Split", "cross_validation_plan", "paper_plan", "stratified_parts"]

PAPER_PARTS = 5
"""113 of 566 images, as the paper's figures imply, are a fifth."""

TEST = "test"
"""Name of the split that holds out the fifth."""


@dataclass(frozen=True, slots=True)
class Split:
    """One model's images, by their numbers in the list of images.

    Attributes:
        repeat: number of the division, from 0.
        name: unique within its repeat.
        training: images that it learns from.
        held_out: images that it predicts.
        scored: whether its predictions enter the figures; otherwise they only help to choose thresholds.
    """

    repeat: int
    name: str
    training: tuple[int, ...]
    held_out: tuple[int, ...]
    scored: bool = True


def cross_validation_plan(images: Sequence[LabelledImage], *, repeats: int, seed: int) -> tuple[Split, ...]:
    """Cross-validation by the fold column, then by as many parts drawn with other seeds.

    Args:
        images: each with a label and a fold.
        repeats: how often all images are divided, 1 for the column alone.
        seed: of the further divisions.

    Raises:
        DatasetError: as `training.splits.cross_validation`, or a class too rare to be in every part.
        UsageError: fewer than one repeat.
    """
    if repeats < 1:
        raise UsageError(f"--repeats {repeats} leaves nothing to do; give 1 or more")
    members = cross_validation(images)
    number = {id(image): index for index, image in enumerate(images)}
    plan = [
        Split(0, str(m.fold), tuple(number[id(i)] for i in m.training), tuple(number[id(i)] for i in m.held_out))
        for m in members
    ]
    everybody = range(len(images))
    for repeat in range(1, repeats):
        parts = stratified_parts(images, len(members), seed + repeat)
        plan += [
            Split(repeat, str(name), tuple(sorted(set(everybody) - set(part))), part) for name, part in enumerate(parts)
        ]
    return tuple(plan)


def paper_plan(images: Sequence[LabelledImage], *, repeats: int, seed: int) -> tuple[Split, ...]:
    """A held-out fifth, `TEST`, and four models that never see it, for the threshold; drawn anew for every repeat.

    Args:
        images: those with masks.
        repeats: how many fifths are drawn, with a seed each.
        seed: of the first draw.

    Raises:
        DatasetError: a class too rare to be in every part.
        UsageError: fewer than one repeat.
    """
    if repeats < 1:
        raise UsageError(f"--repeats {repeats} leaves nothing to do; give 1 or more")
    plan: list[Split] = []
    for repeat in range(repeats):
        test, *others = stratified_parts(images, PAPER_PARTS, seed + repeat)
        seen = {index for part in others for index in part}
        plan.append(Split(repeat, TEST, tuple(sorted(seen)), test))
        plan += [
            Split(repeat, f"threshold-{name}", tuple(sorted(seen - set(part))), part, scored=False)
            for name, part in enumerate(others)
        ]
    return tuple(plan)


def stratified_parts(images: Sequence[LabelledImage], parts: int, seed: int) -> list[tuple[int, ...]]:
    """The images' numbers in parts with like shares of abnormal ones, no patient in two of them.

    Raises:
        DatasetError: an image without a label, or a part that cannot have both classes.
    """
    labels = targets_of(images, "abnormality")[:, 0].astype(np.int64)
    rarest = int(np.bincount(labels, minlength=2).min())
    if rarest < parts:
        raise DatasetError(f"the rarer class has {rarest} of {len(images)} images: too few for {parts} parts with both")
    patients = ["/".join(image.patient) for image in images]
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(labels, labels, patients)
    found = [tuple(int(index) for index in held_out) for _, held_out in folds]
    if any(len({images[index].label for index in part}) < 2 for part in found):
        raise DatasetError(f"the patients cannot be divided into {parts} parts with both classes; too few patients")
    return found
