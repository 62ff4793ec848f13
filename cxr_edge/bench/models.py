"""Which engines can run which of a bundle's models here, and why the others cannot."""

from __future__ import annotations

from dataclasses import dataclass

from cxr_edge.bundle import PRECISIONS, Bundle
from cxr_edge.engines import ENGINES, EngineRow, engine_row
from cxr_edge.errors import EngineError, UsageError

__all__ = ["MissingModel", "Models", "find_models"]


@dataclass(frozen=True, slots=True)
class MissingModel:
    """An engine and precision that cannot be measured, and why."""

    engine: str
    precision: str
    reason: str


@dataclass(frozen=True, slots=True)
class Models:
    """What can be measured as ``(engine, precision)``, and what is skipped."""

    available: tuple[tuple[str, str], ...]
    missing: tuple[MissingModel, ...]


def find_models(bundle: Bundle, engines: tuple[str, ...] = (), precisions: tuple[str, ...] = ()) -> Models:
    """Engines and precisions that run here.

    Args:
        bundle: gives the models.
        engines: names that were asked for; empty means every one of the table.
        precisions: those that were asked for; empty means every one that the bundle holds.

    Raises:
        UsageError: an unknown engine or precision.
        EngineError: something that was asked for by name cannot be had: there is no silent fall-back.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            raise UsageError(f"precision {precision!r} is unknown; known are {', '.join(PRECISIONS)}")
    rows = tuple(engine_row(name) for name in engines) or ENGINES
    wanted = precisions or tuple(bundle.manifest.models)
    available, missing = [], []
    for row in rows:
        for precision in wanted:
            reason = why_not(bundle, row, precision)
            if reason is None:
                available.append((row.name, precision))
            else:
                missing.append(MissingModel(row.name, precision, reason))
    models = Models(tuple(available), tuple(missing))
    check_asked_for(models, engines, precisions)
    return models


def why_not(bundle: Bundle, row: EngineRow, precision: str) -> str | None:
    """Why an engine cannot run the bundle's model of a precision here; None where it can."""
    if not row.is_installed():
        return f"engine {row.name} is not installed: {row.remedy}"
    model = bundle.manifest.models.get(precision)
    if model is None:
        return (
            f"bundle {bundle.manifest.name!r} holds no {precision} model; it holds {', '.join(bundle.manifest.models)}"
        )
    if row.name not in model.engines:
        return f"the bundle's {precision} model is for {', '.join(model.engines) or 'no engine'}, not for {row.name}"
    return None


def check_asked_for(models: Models, engines: tuple[str, ...], precisions: tuple[str, ...]) -> None:
    """Return when everything that was asked for by name is there.

    Raises:
        EngineError: a named pair is missing, or a named engine or precision has nothing at all.
    """
    for gap in models.missing:
        named_pair = bool(engines) and bool(precisions)
        no_precision = bool(engines) and not any(engine == gap.engine for engine, _ in models.available)
        no_engine = bool(precisions) and not any(precision == gap.precision for _, precision in models.available)
        if named_pair or no_precision or no_engine:
            raise EngineError(f"cannot bench {gap.engine} {gap.precision}: {gap.reason}")
