"""Choosing engine, precision, device and threads, and opening them; what was asked for by name is never replaced."""

from __future__ import annotations

import os

from cxr_edge.bundle import PRECISIONS, Bundle
from cxr_edge.engines.base import Engine, EngineOptions
from cxr_edge.engines.registry import ENGINES, EngineRow, engine_row
from cxr_edge.engines.tuning import stored_tuning
from cxr_edge.errors import EngineError, UsageError

__all__ = ["available_threads", "open_engine"]


def open_engine(
    bundle: Bundle,
    engine: str = "auto",
    precision: str | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> Engine:
    """An engine that has loaded the bundle's model; the caller closes it.

    Args:
        bundle: verified bundle.
        engine: a name of the table, or ``"auto"``: what `cxr-edge tune` found fastest on this device among what the
            other arguments allow, which then gives what they leave open. Without such a record the first that is
            installed, has the device as its default, has passed the parity gate for the precision and, where it needs
            a plan for this device, finds one.
        precision: None means the bundle's default for the device.
        device: ``"cpu"`` or what else the engine names; None means the engine's own default.
        threads: CPU threads of one inference; None means every core that this process may use.

    Raises:
        UsageError: an unknown engine or precision, or a number of threads that the machine has not.
        EngineError: the engine is missing, does not run there, does not fit the bundle, or fails to load. There is no
            silent fall-back, neither of engine nor of precision.
        BundleError: the bundle was changed since it was opened.
    """
    if precision is not None and precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} is unknown; known are {', '.join(PRECISIONS)}")
    thread_count = _checked_threads(threads)
    if engine == "auto":
        tuned = _tuned(bundle, precision, device, threads)
        row, options = tuned or _first_that_fits(bundle, precision, device, thread_count)
    else:
        row = engine_row(engine)
        options = _options(bundle, row, precision, device, thread_count)
    return row.load()(bundle, options)


def available_threads() -> int:
    """How many CPU cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checked_threads(threads: int | None) -> int:
    available = available_threads()
    if threads is None:
        return available
    if not 1 <= threads <= available:
        raise UsageError(f"threads must be 1 to {available}, the cores that this process may use; got {threads}")
    return threads


def _tuned(
    bundle: Bundle, precision: str | None, device: str | None, threads: int | None
) -> tuple[EngineRow, EngineOptions] | None:
    """The fastest of a stored tuning that is what was asked for and that ``auto`` may choose; None where none is."""
    tuning = stored_tuning(bundle, available_threads())
    for model in tuning.ranked if tuning else ():
        row = next((row for row in ENGINES if row.name == model.engine), None)
        if row is None or threads not in (None, model.threads) or precision not in (None, model.precision):
            continue
        fitting = _fit(bundle, row, model.precision, device, model.threads)
        if isinstance(fitting, EngineOptions):
            return row, fitting
    return None


def _first_that_fits(
    bundle: Bundle, precision: str | None, device: str | None, threads: int
) -> tuple[EngineRow, EngineOptions]:
    reasons = []
    for row in ENGINES:
        fitting = _fit(bundle, row, precision, device, threads)
        if isinstance(fitting, EngineOptions):
            return row, fitting
        reasons.append(f"{row.name}: {fitting}")
    raise EngineError(f"no engine can run bundle {bundle.manifest.name!r} here ({'; '.join(reasons)})")


def _fit(
    bundle: Bundle, row: EngineRow, precision: str | None, device: str | None, threads: int
) -> EngineOptions | str:
    """What ``auto`` would open an engine with, or why it passes the engine over."""
    if not row.is_installed():
        return f"not installed, {row.remedy}"
    try:
        options = _options(bundle, row, precision, device, threads)
        # Another device of an engine computes with other kernels than those that went through the gate.
        if options.device != row.devices[0]:
            return f"takes device {options.device} only with --engine {row.name}"
        if row.name not in bundle.manifest.models[options.precision].parity_passed:
            return f"has not passed the parity gate for {options.precision}"
        return row.misfit(bundle, options) or options
    except EngineError as error:
        return str(error)


def _options(bundle: Bundle, row: EngineRow, precision: str | None, device: str | None, threads: int) -> EngineOptions:
    chosen_device = _device_of(row, device)
    return EngineOptions(_precision_of(bundle, row, precision, chosen_device), chosen_device, threads)


def _device_of(row: EngineRow, device: str | None) -> str:
    if device is None:
        return row.devices[0]
    if device not in row.devices:
        raise EngineError(f"engine {row.name} runs on {', '.join(row.devices)}, not on {device!r}")
    return device


def _precision_of(bundle: Bundle, row: EngineRow, precision: str | None, device: str) -> str:
    manifest = bundle.manifest
    chosen = precision or manifest.default_precision.get(device)
    held = ", ".join(manifest.models)
    if chosen is None:
        raise EngineError(f"the bundle has no default precision for {device}: choose one of {held}")
    if chosen not in manifest.models:
        raise EngineError(f"bundle {manifest.name!r} holds no {chosen} model; it holds {held}")
    allowed = manifest.models[chosen].engines
    if row.name not in allowed:
        raise EngineError(f"the bundle's {chosen} model is for {', '.join(allowed) or 'no engine'}, not for {row.name}")
    return chosen
