"""A `tensorrt` that computes with ONNX Runtime: a plan is a header and the ONNX model, a pointer is a host address.

It offers only names that the real bindings have (a test compares them) and keeps the rules that our code must keep: a
context never runs twice at once, addresses are set before a run, a batch lies inside the profile, the parser lives
until the network is built, a plan of another major version ends the process.
"""

from __future__ import annotations

import ctypes
import enum
import json
import os
import threading
import weakref

import numpy as np
import onnxruntime
import pycuda.driver as cuda

__version__ = os.environ.get("STAND_IN_TENSORRT", "10.3.0")


class ILogger:
    class Severity(enum.Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4


class IProgressMonitor:
    pass


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


BuilderFlag = enum.Enum("BuilderFlag", ["TF32", "VERSION_COMPATIBLE"])
MemoryPoolType = enum.Enum("MemoryPoolType", ["WORKSPACE"])
ProfilingVerbosity = enum.Enum("ProfilingVerbosity", ["DETAILED"])
HardwareCompatibilityLevel = enum.Enum("HardwareCompatibilityLevel", ["NONE", "AMPERE_PLUS"])
LayerInformationFormat = enum.Enum("LayerInformationFormat", ["ONELINE", "JSON"])
TensorIOMode = enum.Enum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"])
DataType = enum.Enum("DataType", ["FLOAT", "HALF"])

builds: list[dict] = []
"""What each build was asked for, newest last."""


class Buffer(bytes):
    """Stands for IHostMemory."""


class ITimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> Buffer:
        return Buffer(self.data + b"+")


class ITensor:
    def __init__(self, name: str, shape: tuple) -> None:
        self.name, self.shape = name, shape


class INetworkDefinition:
    def __init__(self, flags: int) -> None:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        self.model = b""
        self.tensors: tuple = ([], [])
        self.parser = None

    num_inputs = property(lambda self: len(self.tensors[0]))
    num_outputs = property(lambda self: len(self.tensors[1]))

    def get_input(self, index: int) -> ITensor:
        return self.tensors[0][index]

    def get_output(self, index: int) -> ITensor:
        return self.tensors[1][index]


class ParserError:
    def __init__(self, text: str) -> None:
        self.text = text

    def desc(self) -> str:
        return self.text

    def node(self) -> int:
        return 0

    def node_name(self) -> str:
        return "stem"

    def node_operator(self) -> str:
        return "Conv"


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self.network, self.errors = network, []
        network.parser = weakref.ref(self)

    num_errors = property(lambda self: len(self.errors))

    def get_error(self, index: int) -> ParserError:
        return self.errors[index]

    def parse(self, model: bytes, path: str | None = None) -> bool:
        try:
            session = session_of(model)
        except Exception as error:
            self.errors.append(ParserError(str(error)[:80]))
            return False
        self.network.model = model
        self.network.tensors = tuple(
            [ITensor(node.name, tuple(node.shape)) for node in nodes]
            for nodes in (session.get_inputs(), session.get_outputs())
        )
        return True


class IOptimizationProfile:
    def set_shape(self, input: str, min: tuple, opt: tuple, max: tuple) -> None:  # noqa: A002  TensorRT's own names
        self.range = (min, opt, max)


class IBuilderConfig:
    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}
        self.builder_optimization_level = 3
        self.profiling_verbosity = None
        self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE
        self.progress_monitor = None
        self.profile = None
        self.cache = None
        self.workspace = 0

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self.workspace = pool_size

    def set_flag(self, flag: BuilderFlag) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profile = profile.range
        return 0

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.cache = cache
        return True


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        return INetworkDefinition(flags)

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> Buffer | None:
        assert network.parser() is not None, "the parser, which holds the weights, is gone"
        monitor = config.progress_monitor
        monitor.phase_start("Building Engine", None, 3)
        monitor.phase_start("Tactic selection", "Building Engine", 2)
        monitor.phase_finish("Tactic selection")
        for step in range(3):
            if not monitor.step_complete("Building Engine", step):
                return None
        monitor.phase_finish("Building Engine")
        batch = network.get_input(0).shape[0]
        builds.append({"flags": config.flags, "cache": config.cache.data, "workspace": config.workspace})
        if os.environ.get("STAND_IN_FAILURE") == "build":
            self.logger.log(ILogger.Severity.ERROR, "no tactic for stem")
            return None
        profile = [shape[0] for shape in config.profile] if config.profile else [batch] * 3
        description = json.dumps({"profile": profile, "host code": BuilderFlag.VERSION_COMPATIBLE in config.flags})
        version = bytes(int(part) for part in (__version__ + ".0").split(".")[:4])
        header = b"ftrt" + bytes(20) + version + len(description).to_bytes(4, "little") + description.encode()
        return Buffer(header + network.model)


class EngineInspector:
    def get_engine_information(self, format: LayerInformationFormat) -> str:  # noqa: A002  TensorRT's own name
        assert format is LayerInformationFormat.JSON
        return '{"Layers": ["stem"]}'


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        if serialized_engine[24] != int(__version__.split(".")[0]):
            os.abort()
        size = int.from_bytes(serialized_engine[28:32], "little")
        description = json.loads(serialized_engine[32 : 32 + size])
        if description["host code"] and not self.engine_host_code_allowed:
            self.logger.log(ILogger.Severity.ERROR, "host code is not allowed")
            return None
        return ICudaEngine(serialized_engine[32 + size :], description["profile"])


class ICudaEngine:
    device_memory_size_v2 = 1 << 20

    def __init__(self, model: bytes, profile: list[int]) -> None:
        self.session, self.profile = session_of(model), profile
        self.tensors = {node.name: node for node in (*self.session.get_inputs(), *self.session.get_outputs())}

    num_io_tensors = property(lambda self: len(self.tensors))

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType.FLOAT

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == "image" else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple:
        smallest, _, largest = self.profile
        return (largest if smallest == largest else -1, *self.tensors[name].shape[1:])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple]:
        return [(batch, *self.tensors[name].shape[1:]) for batch in self.profile]

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector()

    def create_execution_context(self) -> IExecutionContext:
        cuda.require_context()
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self.engine, self.addresses, self.running = engine, {}, threading.Lock()
        self.batch = engine.profile[2] if engine.profile[0] == engine.profile[2] else 0

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def set_input_shape(self, name: str, shape: tuple) -> bool:
        self.batch = shape[0]
        return self.engine.profile[0] <= self.batch <= self.engine.profile[2]

    def execute_async_v3(self, stream_handle: int) -> bool:
        cuda.require_context()
        assert stream_handle, "the default stream"
        assert self.running.acquire(blocking=False), "one context runs in two threads at once"
        try:
            # In runs of one image, as ONNX Runtime's last bits depend on the batch and ours must not here.
            outputs = [
                self.engine.session.run(["logit", "cam"], {"image": self.view("image")[number : number + 1]})
                for number in range(self.batch)
            ]
            for name, parts in zip(("logit", "cam"), zip(*outputs, strict=True), strict=True):
                self.view(name)[:] = np.concatenate(parts)
        finally:
            self.running.release()
        return True

    def view(self, name: str) -> np.ndarray:
        shape = (self.batch, *self.engine.tensors[name].shape[1:])
        memory = (ctypes.c_float * int(np.prod(shape))).from_address(self.addresses[name])
        return np.frombuffer(memory, np.float32).reshape(shape)


def session_of(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(bytes(model), options, providers=["CPUExecutionProvider"])
