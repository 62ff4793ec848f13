"""On which side the findings are, learned beside the decision: radiologists' reports tell more than normal or abnormal.

Most reports of an abnormal chest name the side ("PTB in the right upper field"), and a normal one is normal on both. A
second map next to the class-activation map learns this, each side from its own half; the features that both maps read
learn where the findings are, from a few hundred images, without a single drawn outline. The second map is left out of
what is kept: the network, its cost and its heatmap stay what they were.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxr_edge.errors import DatasetError
from cxr_edge.labels import LabelledImage
from training.model import CheXNet

__all__ = ["SIDE_COLUMNS", "laterality_loss", "sides_of", "with_laterality_map", "without_laterality_map"]

SIDE_COLUMNS = ("laterality", "findings")
"""Where a label file tells the side, the first that is not empty: a column of its own, or the report's words."""

SIDE_WORDS = re.compile(r"\b(right|left|bilateral|both)")
"""Each at the beginning of a word: "bilaterally" and "right-sided", but not "upright"."""


def sides_of(images: Sequence[LabelledImage]) -> NDArray[np.float32]:
    """Whether the patient's right and left side have findings, ``[N, 2]`` of 0 and 1, NaN where it is not told.

    Args:
        images: with a label; the side of an abnormal one from the words right, left, bilateral and both.

    Raises:
        DatasetError: no abnormal image tells its side.
    """
    sides = np.array([_sides(image) for image in images], np.float32).reshape(len(images), 2)
    abnormal = np.array([image.label == 1 for image in images], np.bool_)
    if not np.isfinite(sides[abnormal]).any():
        raise DatasetError(
            f"no abnormal image tells on which side its findings are (column {' or '.join(SIDE_COLUMNS)}: right, left, "
            "bilateral); leave --laterality out"
        )
    return sides


def _sides(image: LabelledImage) -> tuple[float, float]:
    if image.label == 0:
        return 0.0, 0.0
    told = next((image.columns[name].lower() for name in SIDE_COLUMNS if image.columns.get(name)), "")
    words = set(SIDE_WORDS.findall(told))
    right, left = bool(words & {"right", "bilateral", "both"}), bool(words & {"left", "bilateral", "both"})
    return (float(right), float(left)) if right or left else (np.nan, np.nan)


def laterality_loss(side_map: Tensor, sides: Tensor) -> Tensor:
    """Mean cross-entropy of the sides that are told, a scalar; 0 where none is.

    Each side's logit is the mean over its half of the map, without the column in the middle where there is one: the
    mediastinum belongs to both.

    Args:
        side_map: ``[N, h, w]`` in logits; the picture's left is the patient's right.
        sides: ``[N, 2]`` of 0 and 1, NaN where not told: what stands at the picture's left and at its right.
    """
    half = side_map.shape[-1] // 2
    halves = side_map[..., :half], side_map[..., -half:]
    logits = torch.stack([one.float().mean(dim=(1, 2)) for one in halves], dim=1)
    told = torch.isfinite(sides)
    if not bool(told.any()):
        return logits.sum() * 0.0
    return nn.functional.binary_cross_entropy_with_logits(logits[told], sides[told])


def with_laterality_map(network: CheXNet) -> CheXNet:
    """The network, changed in place, with one more map behind its own; it begins without an opinion, at 0."""
    return _with_head(network, network.outputs + 1)


def without_laterality_map(network: CheXNet) -> CheXNet:
    """A copy of the network without its last map."""
    return _with_head(copy.deepcopy(network), network.outputs - 1)


def _with_head(network: CheXNet, outputs: int) -> CheXNet:
    kept, before = min(outputs, network.outputs), network.head
    head = nn.Conv2d(before.in_channels, outputs, kernel_size=1)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()  # type: ignore[union-attr]
        head.weight[:kept] = before.weight[:kept]
        head.bias[:kept] = before.bias[:kept]  # type: ignore[index]
    network.head = head.to(before.weight.device)
    return network
