"""Which engines with which precisions are compared here, and why the others are not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cxr_edge.bundle import PRECISIONS, Bundle
from cxr_edge.engines import ENGINES, engine_row
from cxr_edge.errors import EngineError, UsageError

__all__ = ["REFERENCE", "Candidate", "Selection", "Unavailable", "select_candidates"]

REFERENCE = ("onnxruntime", "fp32")
"""Engine and precision that all others are held against, unless another reference is given."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine with a precision; ``emulated`` where another model stands in for engines that are not here."""

    engine: str
    precision: str
    emulated: bool = False


@dataclass(frozen=True, slots=True)
class Unavailable:
    """An engine with a precision that is not compared, and why."""

    engine: str
    precision: str
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What is compared, perhaps nothing, and what is not."""

    chosen: tuple[Candidate, ...]
    unavailable: tuple[Unavailable, ...]


def select_candidates(
    bundle: Bundle,
    engines: Sequence[str] = (),
    precisions: Sequence[str] = (),
    *,
    with_reference: bool = False,
    stand_ins: Collection[str] = (),
) -> Selection:
    """Every pair of engine and precision that can run here, or those asked for.

    Args:
        bundle: verified bundle.
        engines: names; empty means, for each precision, those that the bundle keeps it for.
        precisions: empty means all that the bundle holds.
        with_reference: compare the usual reference, too, because the reference is another one.
        stand_ins: precisions for which an emulation is at hand; it is compared, too.

    Raises:
        UsageError: an unknown engine or precision.
        EngineError: an engine asked for is not installed, or a precision asked for is not in the bundle.
    """
    _check_names(bundle, engines, precisions)
    chosen: list[Candidate] = []
    unavailable: list[Unavailable] = []
    for precision in precisions or bundle.manifest.models:
        for engine in engines or bundle.manifest.models[precision].engines:
            reason = _obstacle(bundle, engine, precision)
            if reason is not None:
                unavailable.append(Unavailable(engine, precision, reason))
            elif (engine, precision) != REFERENCE or with_reference:
                chosen.append(Candidate(engine, precision))
        if precision in stand_ins:
            chosen.append(Candidate("emulation", precision, emulated=True))
    return Selection(tuple(chosen), tuple(unavailable))


def _check_names(bundle: Bundle, engines: Sequence[str], precisions: Sequence[str]) -> None:
    for name in engines:
        row = engine_row(name)
        if not row.is_installed():
            raise EngineError(f"engine {name} is not installed: {row.remedy}")
    held = bundle.manifest.models
    for precision in precisions:
        if precision not in PRECISIONS:
            raise UsageError(f"precision {precision!r} is unknown; known are {', '.join(PRECISIONS)}")
        if precision not in held:
            raise EngineError(f"bundle {bundle.manifest.name!r} holds no {precision} model; it holds {', '.join(held)}")


def _obstacle(bundle: Bundle, engine: str, precision: str) -> str | None:
    """Why an engine cannot run a precision here; None when it can."""
    allowed = bundle.manifest.models[precision].engines
    row = next((row for row in ENGINES if row.name == engine), None)
    if engine not in allowed:
        return f"the bundle keeps {precision} for {', '.join(allowed) or 'no engine'}"
    if row is None:
        return "not part of this version"
    return None if row.is_installed() else f"not installed, {row.remedy}"
