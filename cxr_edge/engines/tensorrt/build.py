"""Building the plan of a bundle's model for this device: look, compile where needed, keep."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cxr_edge.bundle import Bundle
from cxr_edge.engines.tensorrt.plan_key import BuildOptions, Difference, PlanKey, model_of, target_of
from cxr_edge.engines.tensorrt.plan_record import PlanRecord
from cxr_edge.engines.tensorrt.plan_store import PlanStore, default_directory
from cxr_edge.engines.tensorrt.preflight import check_machine, check_memory
from cxr_edge.errors import EngineError

__all__ = ["BuildReport", "build_plan"]

Outcome = TypeVar("Outcome")

MODEL_COPIES = 4
"""Memory that a build needs besides its workspace, as a multiple of the model: weights in several layouts."""

INT8_ALIAS = {"int8": "int8-fp16"}
"""On TensorRT what INT8 leaves over is FP16: the types of an ``int8`` model would make it FP32."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    Attributes:
        record: of the plan, which is now on disk.
        plan: its file.
        layers: file with the layer report, JSON.
        built: False where the plan was there already.
        stale: why a plan that was there did not serve; empty where there was none or it did.
    """

    record: PlanRecord
    plan: Path
    layers: Path
    built: bool
    stale: tuple[Difference, ...]


def build_plan(
    bundle: Bundle,
    precision: str,
    options: BuildOptions | None = None,
    *,
    force: bool = False,
    directory: Path | None = None,
    on_stale: Callable[[tuple[Difference, ...]], None] = lambda differences: None,
    on_progress: Callable[[str, int, int], None] = lambda phase, done, steps: None,
) -> BuildReport:
    """Make sure that a plan with the full key is on this device's disk.

    Args:
        bundle: verified.
        precision: ``"fp32"``, ``"fp16"``, ``"int8-fp16"``, or ``"int8"`` for the last.
        options: how to build; None means a fixed batch of 1 and the defaults.
        force: build even where a plan with the same key is there.
        directory: where plans are kept; None means the user's cache.
        on_stale: called before a rebuild with the fields in which the plan that was there differs.
        on_progress: called with phase, steps done and steps, from other threads.

    Raises:
        UsageError: a precision that no plan is built from.
        EngineError: the bundle does not allow the model for TensorRT, TensorRT or the GPU is missing or does not fit,
            or the build failed.
        ResourceLimitError: too little memory is free on the GPU.
        BundleError: the model was changed since the bundle was opened.
        OutputError: the plan could not be written.
    """
    chosen = INT8_ALIAS.get(precision, precision)
    options = options or BuildOptions()
    file = model_of(bundle, chosen).file
    machine = check_machine()
    if options.hardware_compatible and machine.gpu.compute_capability < (8, 0):
        raise EngineError(f"a hardware-compatible plan needs an Ampere GPU or newer; {machine.gpu.name} is older")
    key = PlanKey(target_of(bundle, chosen, machine), options)
    store = PlanStore(directory or default_directory())
    kept = store.exact(key)
    if kept is not None and not force and _is_whole(store, kept):
        return BuildReport(kept, store.plan_path(key), store.layers_path(key), built=False, stale=())
    stale = () if kept is not None else store.find(key.target, bundle.manifest.name).differences
    if stale:
        on_stale(stale)
    needed = (options.workspace_mib << 20) + MODEL_COPIES * bundle.manifest.files[file].size
    check_memory(machine.gpu, needed, "to build the plan: close other programs or lower --workspace")
    record = _built(bundle, key, store, on_progress)
    return BuildReport(record, store.plan_path(key), store.layers_path(key), built=True, stale=stale)


def _built(bundle: Bundle, key: PlanKey, store: PlanStore, on_progress: Callable[[str, int, int], None]) -> PlanRecord:
    from cxr_edge.engines.tensorrt.compiler import CompiledPlan, compile_plan  # imports TensorRT, checked by now

    spec = bundle.manifest.preprocess
    model = bundle.model_bytes(key.target.precision)
    stop = threading.Event()

    def compiled() -> CompiledPlan:
        cache = store.timing_cache(key.target)
        return compile_plan(model, (1, spec.height, spec.width), key.options, cache, on_progress, stop)

    result = _in_other_thread(compiled, stop)
    store.save_timing_cache(key.target, result.timing_cache)
    return store.save(key, bundle.manifest.name, result.plan, result.layers, result.device_memory)


def _in_other_thread(call: Callable[[], Outcome], stop: threading.Event) -> Outcome:
    """What the call returns. Ctrl-C is raised here and stops the build; in a callback it would end the process."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="cxr-edge-build") as pool:
        future = pool.submit(call)
        try:
            return future.result()
        except BaseException:
            stop.set()
            raise


def _is_whole(store: PlanStore, record: PlanRecord) -> bool:
    try:
        store.load(record)
    except EngineError:
        return False
    return True
