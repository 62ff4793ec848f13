"""The contract of every model file, checked against what a runtime says that the file declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxr_edge.errors import EngineError

__all__ = ["INPUT", "OUTPUTS", "DeclaredTensor", "check_signature"]

INPUT = "image"
OUTPUTS = ("logit", "cam")


@dataclass(frozen=True, slots=True)
class DeclaredTensor:
    """An input or output that a model declares.

    Attributes:
        name: as in the file.
        kind: element type, ``"float32"`` where it is that one, else the runtime's own word.
        shape: a size, or None for a dimension of any size.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]


def check_signature(
    inputs: Sequence[DeclaredTensor],
    outputs: Sequence[DeclaredTensor],
    image_shape: tuple[int, int, int],
    logits: int,
    batch: int | None = None,
) -> None:
    """Check names, types and fixed sizes: ``image [N, 1, H, W]`` to ``logit [N, K]`` and ``cam [N, K, h, w]``.

    Args:
        inputs: what the model declares to take.
        outputs: what it declares to give; more than the contract names are allowed.
        image_shape: ``(1, H, W)`` of the bundle's preprocessing.
        logits: K, how many outputs the bundle names.
        batch: N of a model that was compiled for one; None for a file, which must leave N free.

    Raises:
        EngineError: the model does not fit the bundle; the message has both sides.
    """
    taken = {tensor.name: tensor for tensor in inputs}
    given = {tensor.name: tensor for tensor in outputs}
    if set(taken) != {INPUT} or not set(OUTPUTS) <= set(given):
        raise EngineError(
            f"the model takes {sorted(taken)} and gives {sorted(given)}; the contract is image -> logit, cam"
        )
    _check_tensor(taken[INPUT], (batch, *image_shape))
    _check_tensor(given["logit"], (batch, logits))
    _check_tensor(given["cam"], (batch, logits, None, None))


def _check_tensor(tensor: DeclaredTensor, wanted: tuple[int | None, ...]) -> None:
    """Compare where both sides have a number; the batch must be exactly as wanted."""
    if tensor.kind != "float32":
        raise EngineError(f"the model's {tensor.name} is {tensor.kind}; it must be float32")
    fits = len(tensor.shape) == len(wanted) and all(
        a is None or b is None or a == b for a, b in zip(tensor.shape, wanted, strict=True)
    )
    if not fits or tensor.shape[0] != wanted[0]:
        raise EngineError(
            f"the model's {tensor.name} has shape {_shown(tensor.shape)}; the bundle needs {_shown(wanted)}"
        )


def _shown(shape: tuple[int | None, ...]) -> list[str | int]:
    """A shape for people: the batch as N where it is free, other free sizes as ``?``."""
    return [("?" if place else "N") if size is None else size for place, size in enumerate(shape)]
