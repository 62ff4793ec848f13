"""Any known checkpoint to a CheXNet that is ready for this project's preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec
from training.checkpoints.fold import fold_stem, logit_difference, smooth_noise
from training.checkpoints.head import HeadedState, with_head
from training.checkpoints.normalisation import Normalisation
from training.checkpoints.source import CheckpointSource, read_source
from training.checkpoints.state import StateDict, load_exactly
from training.model import CheXNet

__all__ = ["LoadedCheckpoint", "load_checkpoint"]

_TEST_PICTURES = 4


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A network with the checkpoint's weights, and what happened to them on the way.

    Attributes:
        model: in evaluation mode, on the CPU.
        format: name of the checkpoint's format.
        labels: names of the outputs, in order.
        preprocess: the preprocessing that ``model`` belongs to.
        normalisation: what ``model``'s input channels expect, in display units; ``preprocess``'s own unless the
            checkpoint was kept unfolded.
        logit_difference: largest difference of a logit between the checkpoint's own network and ``model`` on the test
            pictures; None when the input layer was left as it is.
        notes: printable lines: what was folded, replaced or assumed.
        metadata: what a checkpoint of this project carries beside its weights; empty for others.
    """

    model: CheXNet
    format: str
    labels: tuple[str, ...]
    preprocess: PreprocessSpec
    normalisation: Normalisation
    logit_difference: float | None
    notes: tuple[str, ...]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Adapted:
    """A network, what its input expects, and how far it is from the checkpoint's own."""

    model: CheXNet
    normalisation: Normalisation
    logit_difference: float | None = None
    notes: tuple[str, ...] = ()


def load_checkpoint(
    path: Path | str,
    *,
    channels: int = 1,
    outputs: int | None = None,
    new_head: bool = False,
    format_name: str | None = None,
    normalisation: Normalisation | None = None,
    preprocess: PreprocessSpec | None = None,
    blocks: tuple[int, ...] | None = None,
    pictures: Tensor | None = None,
    seed: int = 0,
) -> LoadedCheckpoint:
    """A CheXNet with the weights of a checkpoint; never one that starts from scratch where weights were promised.

    Args:
        path: a checkpoint of this project, or a state dict of one of ``FORMATS``.
        channels: 1 folds the input layer for one grey channel as ``preprocess`` normalises it; 3 keeps a
            three-channel checkpoint as it is, as the reference to compare with.
        outputs: logits that are wanted; None keeps the checkpoint's.
        new_head: allows a freshly initialised head where the checkpoint has another number of outputs, or none.
        format_name: the format, when it cannot be recognised or is known better; a checkpoint of this project says
            its own.
        normalisation: what the checkpoint's network expects, when it is not the format's usual one.
        preprocess: what the new network will be shown; None means what the checkpoint says, or the default.
        blocks: layers of each dense block; None means what the checkpoint says, or DenseNet-121's.
        pictures: ``[N, 1, H, W]`` display values in [0, 1] to measure ``logit_difference`` with; None means four
            seeded pictures of smooth noise.
        seed: of a new head's weights.

    Raises:
        DatasetError: the file or its weights cannot be used as asked; the message lists what does not fit.
        UsageError: an argument is out of its range.
    """
    if channels not in (1, 3):
        raise UsageError(f"channels={channels}: a network takes 1 grey channel, or 3 to keep a checkpoint unfolded")
    if outputs is not None and outputs < 1:
        raise UsageError(f"outputs={outputs} must be at least 1")
    source = read_source(Path(path), format_name=format_name, normalisation=normalisation, blocks=blocks)
    headed = with_head(source, outputs, new_head=new_head, seed=seed)
    spec = preprocess or source.preprocess
    adapted = _unfolded(source, headed) if channels == 3 else _for_one_channel(source, headed, spec, pictures)
    return LoadedCheckpoint(
        model=adapted.model,
        format=source.format,
        labels=headed.labels,
        preprocess=spec,
        normalisation=adapted.normalisation,
        logit_difference=adapted.logit_difference,
        notes=source.notes + headed.notes + adapted.notes,
        metadata=source.metadata,
    )


def _unfolded(source: CheckpointSource, headed: HeadedState) -> _Adapted:
    """The checkpoint's own three-channel network."""
    if source.channels != 3:
        raise DatasetError(
            f"checkpoint {source.path} takes 1 input channel; only a three-channel one can be kept unfolded"
        )
    return _Adapted(_network(source, headed.state, headed.outputs), source.normalisation)


def _for_one_channel(
    source: CheckpointSource, headed: HeadedState, spec: PreprocessSpec, pictures: Tensor | None
) -> _Adapted:
    """The network for one grey channel, compared with the checkpoint's own when its input layer had to change."""
    target = Normalisation.of(spec)
    original = _network(source, headed.state, headed.outputs)
    if source.normalisation == target:
        return _Adapted(original, target)
    display = smooth_noise(_TEST_PICTURES, spec.height, spec.width) if pictures is None else pictures
    folded = _network(source, fold_stem(headed.state, source.normalisation, target), headed.outputs)
    difference = logit_difference(original, source.normalisation, folded, target, display)
    what = "three input channels" if source.channels == 3 else "the input scale"
    note = f"{what} folded into the first layer: logits differ by at most {difference:.3g} on {len(display)} pictures"
    return _Adapted(folded, target, difference, (note,))


def _network(source: CheckpointSource, state: StateDict, outputs: int) -> CheXNet:
    """A network in evaluation mode that holds exactly this state; the global random state is left alone."""
    channels = int(state["features.conv0.weight"].shape[1])
    with torch.random.fork_rng(devices=[]):
        model = CheXNet(channels=channels, outputs=outputs, blocks=source.blocks)
    load_exactly(model, state, source.path)
    return model.eval()
