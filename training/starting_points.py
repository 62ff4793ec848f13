"""Where the members of a run start from: random weights, one checkpoint, or an earlier run's models fold by fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from training.checkpoints import load_checkpoint
from training.config import TrainingConfig
from training.model import NIH_LABELS, CheXNet
from training.splits import Member

__all__ = ["initial_network", "starting_point", "starting_points"]


def starting_point(initial: Path | None, member: Member) -> Path | None:
    """The checkpoint that one member starts from; see `train`."""
    return initial / member.name / "model.pt" if initial is not None and initial.is_dir() else initial


def starting_points(initial: Path | None, members: Sequence[Member]) -> list[Path | None]:
    """The different places that the members start from, in order; None stands for random weights."""
    return list(dict.fromkeys(starting_point(initial, member) for member in members))


def initial_network(
    config: TrainingConfig, initial: Path | None, note: Callable[[str], None] = lambda text: None
) -> CheXNet:
    """Random weights from the run's seed, or those of a checkpoint with a fresh head where the outputs differ.

    Args:
        config: outputs, seed, dropout, and the preprocessing that a checkpoint's input is folded for.
        initial: the checkpoint, or None.
        note: told how the checkpoint was adapted and by how much that moved its logits.

    Raises:
        DatasetError: the checkpoint cannot be used.
    """
    outputs = 1 if config.task == "abnormality" else len(NIH_LABELS)
    torch.manual_seed(config.seed)
    if initial is None:
        return CheXNet(outputs=outputs, dropout=config.dropout)
    loaded = load_checkpoint(initial, outputs=outputs, new_head=True, preprocess=config.preprocess, seed=config.seed)
    for line in (f"starting from {initial}, a {loaded.format} checkpoint", *loaded.notes):
        note(line)
    loaded.model.dropout.p = config.dropout
    return loaded.model
