"""The cells of the study's grid: what the network sees, what of it is trained, which head, and where it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

from cxr_edge.errors import UsageError
from cxr_edge.preprocess.spec import VARIANTS, PreprocessSpec, Variant
from training.config import Tune
from training.entry import DEFAULT_MARGIN

__all__ = ["HEADS", "STARTS", "TUNES", "Cell", "Head", "StartName", "grid", "spec_of"]

Head = Literal["linear", "hidden"]
StartName = Literal["chexnet", "nih14", "none"]

TUNES: tuple[Tune, ...] = ("head", "all")
"""The head alone on a frozen backbone first: those cells take seconds."""

HEADS: tuple[Head, ...] = get_args(Head)
STARTS: tuple[StartName, ...] = get_args(StartName)


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to train.

    Attributes:
        variant: what the network is shown of each image.
        tune: ``"head"`` on a frozen backbone, or ``"all"`` layers.
        head: ``"linear"``, or ``"hidden"`` for one hidden layer on the pooled features.
        start: the weights that it starts from.
    """

    variant: Variant
    tune: Tune
    head: Head
    start: StartName

    def __post_init__(self) -> None:
        for what, value, known in (
            ("variant", self.variant, VARIANTS),
            ("tune", self.tune, TUNES),
            ("head", self.head, HEADS),
            ("start", self.start, STARTS),
        ):
            if value not in known:
                raise UsageError(f"{what} {value!r} is unknown; choose from {', '.join(known)}")

    @property
    def name(self) -> str:
        """Its four parts, such as ``"lungs:head:linear:nih14"``; `parse` reads it."""
        return ":".join((self.variant, self.tune, self.head, self.start))

    @classmethod
    def parse(cls, name: str) -> Cell:
        """The cell of a name.

        Raises:
            UsageError: not four known parts.
        """
        parts = name.split(":")
        if len(parts) != 4:
            raise UsageError(f"{name!r} names no cell; give VARIANT:TUNE:HEAD:START, such as full:all:linear:none")
        return cls(*parts)  # type: ignore[arg-type]


def grid(
    variants: Sequence[str], tunes: Sequence[str], heads: Sequence[str], starts: Sequence[str]
) -> tuple[Cell, ...]:
    """Every combination, the quick cells first.

    Raises:
        UsageError: a part that is unknown, named twice, or a list without any.
    """
    lists = {"--variants": variants, "--tune": tunes, "--heads": heads, "--starts": starts}
    for option, values in lists.items():
        if not values or len(set(values)) < len(values):
            raise UsageError(f"{option} {','.join(values)!r}: name at least one, and none twice")
    combined = product(sorted(tunes, key=lambda tune: tune == "all"), variants, heads, starts)
    return tuple(Cell(variant, tune, head, start) for tune, variant, head, start in combined)  # type: ignore[arg-type]


def spec_of(variant: Variant, size: int) -> PreprocessSpec:
    """What the networks of a variant are shown, at ``size`` x ``size`` pixels.

    Where no lungs are found the body is shown, so that every variant is judged on the same images.
    """
    if variant in ("lungs", "lungs-masked"):
        return PreprocessSpec(height=size, width=size, variant=variant, margin=DEFAULT_MARGIN, not_found="body")
    return PreprocessSpec(height=size, width=size, variant=variant)
