"""State dicts: finding them in a checkpoint, and proving that one fits a network before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cxr_edge.errors import DatasetError

__all__ = ["StateDict", "check_finite", "find_state_dict", "load_exactly"]

StateDict = dict[str, Tensor]

_CONTAINERS = ("state_dict", "model_state_dict", "model", "net", "weights")
_LISTED = 5


def find_state_dict(payload: Any, source: str) -> StateDict:
    """The weights in a checkpoint: the payload itself, or the entry of it that training scripts keep them under.

    Args:
        payload: what the checkpoint file holds.
        source: how messages name the checkpoint.

    Raises:
        DatasetError: no mapping from names to tensors was found.
    """
    candidates = [payload]
    if isinstance(payload, Mapping):
        candidates += [payload[name] for name in _CONTAINERS if name in payload]
    for candidate in candidates:
        if isinstance(candidate, Mapping) and candidate and all(isinstance(v, Tensor) for v in candidate.values()):
            return {str(name): tensor for name, tensor in candidate.items()}
    found = ", ".join(str(name) for name in list(payload)[:_LISTED]) if isinstance(payload, Mapping) else "no mapping"
    raise DatasetError(
        f"checkpoint {source} holds no state dict (names to tensors), neither at its top nor under "
        f"{', '.join(_CONTAINERS)}; it holds: {found or 'nothing'}"
    )


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Refuses weights that no network can compute with.

    Raises:
        DatasetError: a tensor is sparse, quantised, complex or on no device, or holds NaN or infinity; it is named.
    """
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
            raise DatasetError(f"checkpoint {source}: {name} is no plain tensor of real numbers; save it dense")
        if not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise DatasetError(
                f"checkpoint {source}: {name} holds {count} NaN or infinite values; the training that wrote it diverged"
            )


def load_exactly(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copies every weight into the model, or none.

    ``num_batches_tracked`` may be missing: torch before 0.4.1 didn't have it and evaluation doesn't use it.

    Raises:
        DatasetError: names are missing or unexpected, or shapes differ; the first five of each kind are listed.
    """
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in wanted]
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    faults = [
        f"{len(names)} {kind}: {_listed(names)}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    if faults:
        raise DatasetError(f"checkpoint {source} does not fit this DenseNet. Weights {'; '.join(faults)}")
    model.load_state_dict({**wanted, **state})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (" ..." if len(names) > _LISTED else "")
