"""The checkpoint's head when it has the outputs that are wanted; a new one only when the caller allows it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cxr_edge.errors import DatasetError
from training.checkpoints.source import CheckpointSource
from training.checkpoints.state import StateDict
from training.model import NIH_LABELS

__all__ = ["HeadedState", "with_head"]


@dataclass(frozen=True, slots=True)
class HeadedState:
    """Weights whose head has the outputs that were asked for.

    Attributes:
        state: under CheXNet's names.
        outputs: number of logits.
        labels: their names, in order.
        notes: printable lines on what happened to the head.
    """

    state: StateDict
    outputs: int
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()


def with_head(source: CheckpointSource, outputs: int | None, *, new_head: bool, seed: int) -> HeadedState:
    """The checkpoint's weights with a head of ``outputs`` logits.

    Args:
        source: the checkpoint.
        outputs: None keeps the checkpoint's head.
        new_head: allows a fresh head where the checkpoint's has another number of outputs or is absent.
        seed: of a fresh head's weights.

    Raises:
        DatasetError: the checkpoint's head does not fit and a new one was not allowed, or has a hidden layer.
    """
    _refuse_hidden_layers(source)
    stored = _stored_outputs(source.state)
    if stored and outputs in (None, stored):
        return _kept(source, stored)
    if outputs is None or not new_head:
        raise DatasetError(
            f"checkpoint {source.path} has {stored or 'no'} outputs, {outputs or 'its own'} were asked for; "
            "ask for the same number, or allow a new, untrained head with new_head=True and a number of outputs"
        )
    head = {"head.weight": _initial_weights(source, outputs, seed), "head.bias": torch.zeros(outputs)}
    return HeadedState(
        state={**source.state, **head},
        outputs=outputs,
        labels=_labels_of_new_head(outputs),
        notes=(f"new head: {outputs} outputs, untrained (seed {seed}); the checkpoint has {stored or 'none'}",),
    )


def _refuse_hidden_layers(source: CheckpointSource) -> None:
    strange = sorted(name for name in source.state if name.startswith("head.") and name.count(".") > 1)
    if strange:
        raise DatasetError(
            f"checkpoint {source.path} has a head with a hidden layer ({strange[0]}), as only the reproduction of the "
            "paper trains: its logit is not the mean of a map, so there is no exact heatmap and it cannot be exported"
        )


def _stored_outputs(state: StateDict) -> int:
    """Outputs of the checkpoint's head, 0 when it has none."""
    head = state.get("head.weight")
    return 0 if head is None or head.ndim == 0 else int(head.shape[0])


def _kept(source: CheckpointSource, outputs: int) -> HeadedState:
    if source.labels is not None and len(source.labels) == outputs:
        return HeadedState(source.state, outputs, source.labels)
    note = f"neither the checkpoint nor its format names the {outputs} outputs"
    return HeadedState(source.state, outputs, _numbered(outputs), (note,))


def _initial_weights(source: CheckpointSource, outputs: int, seed: int) -> Tensor:
    """``[outputs, C, 1, 1]`` weights as torch initialises a linear layer, from a generator of their own."""
    last = source.state.get("features.norm5.weight")
    if last is None:
        raise DatasetError(
            f"checkpoint {source.path} does not fit this DenseNet. Weights 1 missing: features.norm5.weight"
        )
    weight = torch.empty(outputs, last.numel(), 1, 1)
    return nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=torch.Generator().manual_seed(seed))


def _labels_of_new_head(outputs: int) -> tuple[str, ...]:
    """The task that this project trains heads of that size for."""
    if outputs == 1:
        return ("abnormal",)
    return NIH_LABELS if outputs == len(NIH_LABELS) else _numbered(outputs)


def _numbered(outputs: int) -> tuple[str, ...]:
    return tuple(f"output {number}" for number in range(outputs))
