"""Compiling a bundle's model for OpenVINO's CPU plugin, or taking it from the device's cache.

The plugin ends the process on some graphs, such as the full Q/DQ quantisation that ONNX Runtime's own tool writes
(2026.4.1), and nothing here can catch that. What keeps such a file away is the bundle's manifest: a model whose
``engines`` do not list openvino is never opened here, so export lists it only for a model that has run on it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from cxr_edge.bundle import Bundle
from cxr_edge.engines.base import EngineOptions
from cxr_edge.engines.device_cache import ArtefactKey, DeviceCache, cache_folder
from cxr_edge.engines.openvino_inspection import computed_as, declared, reason
from cxr_edge.engines.signature import INPUT, check_signature
from cxr_edge.engines.silent_openvino import openvino
from cxr_edge.errors import EngineError, OutputError

__all__ = ["Compiled", "compiled_model"]

PLUGIN = "CPU"

# The plugin computes in BF16 (FP16 on ARM) wherever the processor can, also for FP32 models, and does not say so; asked
# for FP16 on x86 it takes BF16. So the arithmetic of what is not INT8 is pinned, and BF16 is a device of its own.
ARITHMETIC = {"cpu": "f32", "cpu-bf16": "bf16"}

FLOATS = {"f32": "fp32", "bf16": "bf16"}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A model that is ready to run.

    Attributes:
        model: the ``openvino.CompiledModel``, for one image at a time.
        computed_as: how numbers are stored and computed, from what the plugin says that it runs.
        threads: CPU threads that the plugin took.
        model_cache: as in `EngineDescription`.
    """

    model: Any
    computed_as: str
    threads: int
    model_cache: str


def compiled_model(bundle: Bundle, options: EngineOptions, image_shape: tuple[int, int, int], logits: int) -> Compiled:
    """The bundle's model, compiled for batches of one.

    What the cache holds was compiled from a file with the SHA-256 that the bundle's verified manifest lists; the file
    itself is then not read again.

    Args:
        bundle: verified.
        options: precision, device and threads.
        image_shape: ``(1, H, W)``.
        logits: K of the contract.

    Raises:
        EngineError: the model does not load or does not fit the bundle, the processor lacks the arithmetic that was
            asked for, or the plugin would not compute as asked.
        BundleError: the model file was changed since the bundle was opened.
    """
    core = openvino.Core()
    _check_arithmetic(core, options)
    settings = _settings(options)
    key = _key(core, bundle, options, settings, image_shape)
    cached = _cached(core, settings, key)
    model = cached or _compile(core, bundle.model_bytes(options.precision), options, settings, image_shape, logits)
    check_signature(declared(model.inputs), declared(model.outputs), image_shape, logits, batch=1)
    _check_precision(model, options)
    return Compiled(
        model=model,
        computed_as=computed_as(model, options.precision, FLOATS[ARITHMETIC[options.device]]),
        threads=int(model.get_property("INFERENCE_NUM_THREADS")),
        model_cache="read" if cached else _kept(model, key),
    )


def _settings(options: EngineOptions) -> dict[str, str]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",  # one image on all threads, also on machines with several sockets
        "INFERENCE_NUM_THREADS": str(options.threads),
        "INFERENCE_PRECISION_HINT": ARITHMETIC[options.device],
    }


def _check_arithmetic(core: Any, options: EngineOptions) -> None:
    wanted = ARITHMETIC[options.device].upper()
    offered = core.get_property(PLUGIN, "OPTIMIZATION_CAPABILITIES")
    if wanted == "BF16" and wanted not in offered:
        raise EngineError(f"this processor does not compute in BF16, it has {', '.join(offered)}: use device cpu")


def _check_precision(model: Any, options: EngineOptions) -> None:
    """Check that the plugin kept to the arithmetic that it was told: it treats the setting as a hint."""
    kind = str(model.get_property("INFERENCE_PRECISION_HINT").get_type_name())
    if kind != ARITHMETIC[options.device]:
        raise EngineError(
            f"openvino would compute in {kind} instead of {ARITHMETIC[options.device]}: use another engine"
        )


def _key(
    core: Any, bundle: Bundle, options: EngineOptions, settings: dict[str, str], image_shape: tuple[int, int, int]
) -> ArtefactKey:
    manifest = bundle.manifest
    return ArtefactKey(
        engine="openvino",
        precision=options.precision,
        model_sha256=manifest.files[manifest.models[options.precision].file].sha256,
        runtime_version=openvino.get_version(),
        device=f"{core.get_property(PLUGIN, 'FULL_DEVICE_NAME')}, {core.get_property(PLUGIN, 'DEVICE_ARCHITECTURE')}",
        capability=" ".join(sorted(core.get_property(PLUGIN, "OPTIMIZATION_CAPABILITIES"))),
        driver="",
        input_shape="x".join(map(str, (1, *image_shape))),
        options=tuple(sorted(f"{name}={value}" for name, value in settings.items())),
    )


def _compile(
    core: Any,
    onnx: bytes,
    options: EngineOptions,
    settings: dict[str, str],
    image_shape: tuple[int, int, int],
    logits: int,
) -> Any:
    try:
        model = core.read_model(onnx)
        check_signature(declared(model.inputs), declared(model.outputs), image_shape, logits)
        model.reshape({INPUT: [1, *image_shape]})
        return core.compile_model(model, PLUGIN, settings)
    except RuntimeError as error:
        raise EngineError(f"openvino cannot load the {options.precision} model: {reason(error)}") from error


def _cached(core: Any, settings: dict[str, str], key: ArtefactKey) -> Any | None:
    """The compiled model of the cache; None where it has none that loads."""
    try:
        compiled = DeviceCache(cache_folder()).read(key)
        return None if compiled is None else core.import_model(compiled, PLUGIN, settings)
    except OutputError:  # no place for a cache; `_kept` reports it
        return None
    except RuntimeError:  # OpenVINO refuses what it wrote itself: compiled anew and written over
        return None


def _kept(model: Any, key: ArtefactKey) -> str:
    """What `EngineDescription.model_cache` says after an attempt to keep a compiled model."""
    compiled = io.BytesIO()
    try:
        model.export_model(compiled)
        DeviceCache(cache_folder()).write(key, compiled.getvalue())
    except (OutputError, RuntimeError) as error:  # without a cache the next start is slower, nothing else
        return f"not written: {reason(error)}"
    return "written"
