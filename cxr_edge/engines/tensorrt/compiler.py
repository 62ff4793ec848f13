"""ONNX model -> TensorRT plan. Precision lives in the model's own types; nothing here chooses one."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import tensorrt as trt  # type: ignore[import-not-found]

from cxr_edge.engines.signature import INPUT, OUTPUTS
from cxr_edge.engines.tensorrt.build_progress import BuildProgress, OnProgress
from cxr_edge.engines.tensorrt.loading import load_plan, open_runtime
from cxr_edge.engines.tensorrt.messages import MessageLog
from cxr_edge.engines.tensorrt.plan_key import BuildOptions
from cxr_edge.errors import EngineError

__all__ = ["CompiledPlan", "compile_plan"]


@dataclass(frozen=True, slots=True)
class CompiledPlan:
    """What a build gives.

    Attributes:
        plan: for TensorRT's runtime.
        timing_cache: what was measured, for the next build.
        layers: the engine inspector's report, JSON.
        device_memory: bytes of GPU memory that one execution context takes.
    """

    plan: bytes
    timing_cache: bytes
    layers: str
    device_memory: int


def compile_plan(
    model: bytes,
    image_shape: tuple[int, int, int],
    options: BuildOptions,
    timing_cache: bytes,
    on_progress: OnProgress,
    stop: threading.Event,
) -> CompiledPlan:
    """The plan of a model, loaded once to see that it loads.

    Args:
        model: ONNX whose types say where FP16 and INT8 are used.
        image_shape: channels, height and width of one image.
        options: batch profile and the builder's settings.
        timing_cache: of an earlier build, or empty.
        on_progress: called with phase, steps done and steps.
        stop: ends the build early when set.

    Raises:
        EngineError: TensorRT refuses the model or cannot build it; the message ends with its own words.
    """
    log = MessageLog()
    try:
        builder = trt.Builder(log)
    except TypeError as error:  # how the bindings report a factory that returned nothing
        raise EngineError(f"TensorRT gives no builder: {log.explanation()}") from error
    # In TensorRT 11 the flag is kept and ignored: networks always are strongly typed there.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)  # its memory holds the network's weights: it must live through the build
    _parse(parser, network, model, log)
    config = _config(builder, options)
    _set_shapes(builder, network, config, image_shape, options)
    cache = _attach_timing_cache(config, timing_cache)
    progress = BuildProgress(on_progress, stop)
    config.progress_monitor = progress
    serialized = builder.build_serialized_network(network, config)
    del parser
    if progress.failure is not None:
        raise progress.failure
    if serialized is None:
        reason = "it was stopped" if stop.is_set() else log.explanation()
        raise EngineError(f"TensorRT could not build the plan: {reason}")
    plan = bytes(serialized)
    layers, device_memory = _inspect(plan, options, log)
    return CompiledPlan(plan, bytes(cache.serialize()), layers, device_memory)


def _parse(parser: trt.OnnxParser, network: trt.INetworkDefinition, model: bytes, log: MessageLog) -> None:
    """Fill the network from the model, and check that it keeps the contract."""
    if not parser.parse(model):
        faults = [_fault(parser.get_error(number)) for number in range(parser.num_errors)]
        raise EngineError(f"TensorRT's ONNX parser refuses the model: {'; '.join(faults[:3]) or log.explanation()}")
    inputs = [network.get_input(number).name for number in range(network.num_inputs)]
    outputs = [network.get_output(number).name for number in range(network.num_outputs)]
    if inputs != [INPUT] or sorted(outputs) != sorted(OUTPUTS):
        raise EngineError(f"the model takes {inputs} and gives {outputs}; the contract is {INPUT} -> logit, cam")


def _fault(error: trt.ParserError) -> str:
    return f"node {error.node_name() or error.node()} ({error.node_operator()}): {error.desc()}"


def _config(builder: trt.Builder, options: BuildOptions) -> trt.IBuilderConfig:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    config.builder_optimization_level = options.optimization_level
    # TF32 is on by default and rounds the factors of FP32 products to 10 bits: no longer the FP32 that was gated.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # for the layer report; costs nothing in a run
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    return config


def _set_shapes(
    builder: trt.Builder,
    network: trt.INetworkDefinition,
    config: trt.IBuilderConfig,
    image_shape: tuple[int, int, int],
    options: BuildOptions,
) -> None:
    """Turn the model's free batch size into a constant, or give the range that it may have."""
    smallest, preferred, largest = options.batch
    image = network.get_input(0)
    if options.fixed_batch:
        image.shape = (largest, *image_shape)
        return
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, (smallest, *image_shape), (preferred, *image_shape), (largest, *image_shape))
    config.add_optimization_profile(profile)


def _attach_timing_cache(config: trt.IBuilderConfig, kept: bytes) -> trt.ITimingCache:
    """The cache that the build reads and fills: the kept one if TensorRT takes it for this device, else a new one."""
    cache = config.create_timing_cache(kept)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _inspect(plan: bytes, options: BuildOptions, log: MessageLog) -> tuple[str, int]:
    """Layer report and context memory of a plan, which is loaded for that."""
    runtime: trt.Runtime = open_runtime(log, host_code_allowed=options.version_compatible)
    engine: trt.ICudaEngine = load_plan(runtime, plan, log)
    inspector = engine.create_engine_inspector()
    return inspector.get_engine_information(trt.LayerInformationFormat.JSON), int(engine.device_memory_size_v2)
