"""This project's own checkpoint: CheXNet's tensors and what must be known to use them, and nothing that runs."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import BundleError, DatasetError, UsageError
from cxr_edge.preprocess.spec import PreprocessSpec
from training.checkpoints.normalisation import Normalisation
from training.checkpoints.state import StateDict, check_finite, find_state_dict
from training.model import CheXNet

__all__ = ["EDGE_FORMAT", "EdgeCheckpoint", "parse_edge_checkpoint", "save_checkpoint"]

EDGE_FORMAT = "cxr-edge"
FORMAT_VERSION = 1
LARGEST_BLOCK = 64
"""Layers of DenseNet-264's largest block; a bound on what a damaged file can make the loader build."""


@dataclass(frozen=True, slots=True)
class EdgeCheckpoint:
    """What a file of this format says about its weights.

    Attributes:
        state: weights under CheXNet's names.
        blocks: layers of each dense block.
        labels: names of the outputs, in order.
        preprocess: what the network is shown.
        normalisation: of its input channels; ``preprocess``'s own unless the network has three channels.
        metadata: what the caller stored beside it, JSON values.
    """

    state: StateDict
    blocks: tuple[int, ...]
    labels: tuple[str, ...]
    preprocess: PreprocessSpec
    normalisation: Normalisation
    metadata: Mapping[str, Any]


def save_checkpoint(
    path: Path,
    model: CheXNet,
    *,
    labels: Sequence[str],
    preprocess: PreprocessSpec | None = None,
    normalisation: Normalisation | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes a checkpoint that `load_checkpoint` reads back, whole or not at all.

    Args:
        path: the file; one that stands there is replaced only when the new one is safely on the disk.
        model: its weights are stored, on whichever device they are.
        labels: names of its outputs, in order.
        preprocess: what the network was trained on; the default spec when None.
        normalisation: of a three-channel network's inputs; None means ``preprocess``'s for each channel.
        metadata: JSON values to keep beside the weights (configuration, data hash, versions).

    Raises:
        UsageError: labels do not match the outputs, or metadata is no JSON.
        DatasetError: a weight is NaN or infinite.
        OutputError: the file cannot be written; what stood there is unchanged.
    """
    if len(labels) != model.outputs:
        raise UsageError(f"{len(labels)} labels do not name the {model.outputs} outputs of the network")
    spec = preprocess or PreprocessSpec()
    inputs = (normalisation or Normalisation.of(spec)).for_channels(model.channels)
    state = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    check_finite(state, str(path))
    description = {
        "format": EDGE_FORMAT,
        "format_version": FORMAT_VERSION,
        "channels": model.channels,
        "outputs": model.outputs,
        "blocks": _blocks(model),
        "labels": list(labels),
        "preprocess": spec.to_json(),
        "normalisation": {"mean": inputs.mean, "std": inputs.std},
        "metadata": dict(metadata or {}),
    }
    buffer = io.BytesIO()
    torch.save({**_as_json(description), "state_dict": state}, buffer)
    write_atomically(path, buffer.getvalue())


def parse_edge_checkpoint(payload: Mapping[str, Any], source: str) -> EdgeCheckpoint:
    """The record of a payload that `save_checkpoint` wrote.

    Raises:
        DatasetError: a newer format version, or entries that are missing or contradict each other.
    """
    version = payload.get("format_version")
    if version != FORMAT_VERSION:
        raise DatasetError(
            f"checkpoint {source} is of format version {version!r}; this version of cxr-edge reads {FORMAT_VERSION}"
        )
    try:
        checkpoint = EdgeCheckpoint(
            state=find_state_dict(payload["state_dict"], source),
            blocks=tuple(int(layers) for layers in payload["blocks"]),
            labels=tuple(str(label) for label in payload["labels"]),
            preprocess=PreprocessSpec.from_json(payload["preprocess"]),
            normalisation=Normalisation(
                tuple(payload["normalisation"]["mean"]), tuple(payload["normalisation"]["std"])
            ).for_channels(int(payload["channels"])),
            metadata=dict(payload["metadata"]),
        )
    except (KeyError, TypeError, ValueError, BundleError, UsageError) as error:
        raise DatasetError(f"checkpoint {source} is incomplete or was altered: {error}") from error
    if len(checkpoint.labels) != payload.get("outputs"):
        raise DatasetError(
            f"checkpoint {source} was altered: {len(checkpoint.labels)} labels for {payload.get('outputs')!r} outputs"
        )
    if len(checkpoint.blocks) != 4 or not all(1 <= layers <= LARGEST_BLOCK for layers in checkpoint.blocks):
        raise DatasetError(f"checkpoint {source} was altered: no DenseNet has blocks of {checkpoint.blocks} layers")
    return checkpoint


def _blocks(model: CheXNet) -> list[int]:
    """Layers of each dense block, in order."""
    return [len(list(part.children())) for name, part in model.features.named_children() if name.startswith("dense")]


def _as_json(description: dict[str, Any]) -> dict[str, Any]:
    """The same values as JSON gives them back: lists, dicts, strings and finite numbers, which any unpickler allows."""
    try:
        values: dict[str, Any] = json.loads(json.dumps(description, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(f"checkpoint metadata must be JSON values with finite numbers: {error}") from error
    return values
