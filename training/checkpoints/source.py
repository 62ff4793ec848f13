"""A checkpoint of whatever format under CheXNet's names, before anything of it is adapted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cxr_edge.errors import DatasetError
from cxr_edge.preprocess.spec import PreprocessSpec
from training.checkpoints.edge_format import EDGE_FORMAT, parse_edge_checkpoint
from training.checkpoints.file import read_checkpoint_file
from training.checkpoints.formats import chexnet_state, recognise, without_wrappers
from training.checkpoints.normalisation import Normalisation
from training.checkpoints.state import StateDict, check_finite, find_state_dict
from training.model import BLOCKS_121

__all__ = ["CheckpointSource", "read_source"]


@dataclass(frozen=True, slots=True)
class CheckpointSource:
    """The weights as they were trained, and what is known about them.

    Attributes:
        path: how messages name the checkpoint.
        format: name of its format.
        state: float32 weights under CheXNet's names.
        channels: input channels, 1 or 3.
        normalisation: what each of these channels expects.
        preprocess: what a network made of it will be shown unless the caller says otherwise.
        blocks: layers of each dense block.
        labels: names of the outputs, None where neither the file nor its format tells.
        notes: printable lines on what was assumed.
        metadata: what a checkpoint of this project carries beside its weights.
    """

    path: str
    format: str
    state: StateDict
    channels: int
    normalisation: Normalisation
    preprocess: PreprocessSpec
    blocks: tuple[int, ...]
    labels: tuple[str, ...] | None
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def read_source(
    path: Path,
    *,
    format_name: str | None = None,
    normalisation: Normalisation | None = None,
    blocks: tuple[int, ...] | None = None,
) -> CheckpointSource:
    """The checkpoint in the file.

    Args:
        path: a checkpoint of this project, or one of ``FORMATS``.
        format_name: its format; None recognises it.
        normalisation: what its input channels expect; None means what the file or its format says.
        blocks: layers of each dense block; None means what the file says, or DenseNet-121's.

    Raises:
        DatasetError: the file cannot be read, or holds weights that no network can compute with.
        UsageError: an unknown format name, or a normalisation of another number of channels.
    """
    payload = read_checkpoint_file(path)
    if isinstance(payload, Mapping) and payload.get("format") == EDGE_FORMAT:
        source = _read_own(payload, str(path), normalisation, blocks)
    else:
        source = _read_foreign(payload, str(path), format_name, normalisation, blocks)
    check_finite(source.state, source.path)
    return source


def _read_own(
    payload: Mapping[str, Any], path: str, normalisation: Normalisation | None, blocks: tuple[int, ...] | None
) -> CheckpointSource:
    checkpoint = parse_edge_checkpoint(payload, path)
    channels = _input_channels(checkpoint.state, path)
    return CheckpointSource(
        path=path,
        format=EDGE_FORMAT,
        state=checkpoint.state,
        channels=channels,
        normalisation=(normalisation or checkpoint.normalisation).for_channels(channels),
        preprocess=checkpoint.preprocess,
        blocks=blocks or checkpoint.blocks,
        labels=checkpoint.labels,
        metadata=MappingProxyType(dict(checkpoint.metadata)),
    )


def _read_foreign(
    payload: Any,
    path: str,
    format_name: str | None,
    normalisation: Normalisation | None,
    blocks: tuple[int, ...] | None,
) -> CheckpointSource:
    named_as_stored = without_wrappers(find_state_dict(payload, path), path)
    found = recognise(named_as_stored, path, format_name)
    state = chexnet_state(named_as_stored, found, path)
    channels = _input_channels(state, path)
    return CheckpointSource(
        path=path,
        format=found.name,
        state=state,
        channels=channels,
        normalisation=(normalisation or found.normalisation).for_channels(channels),
        preprocess=PreprocessSpec(),
        blocks=blocks or BLOCKS_121,
        labels=found.labels,
        notes=(found.remark,) if found.remark else (),
    )


def _input_channels(state: StateDict, path: str) -> int:
    """Input channels of the first convolution, 1 or 3."""
    kernels = state.get("features.conv0.weight")
    if kernels is None or kernels.ndim != 4 or kernels.shape[1] not in (1, 3):
        found = "missing" if kernels is None else f"of shape {tuple(kernels.shape)}"
        raise DatasetError(
            f"checkpoint {path}: features.conv0.weight is {found}; a DenseNet's [64, C, 7, 7] with C = 1 or 3 is needed"
        )
    return int(kernels.shape[1])
