"""The table of engines, in the order in which ``auto`` prefers them. An engine is added as one row and one module."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

from cxr_edge.bundle import Bundle
from cxr_edge.engines.base import Engine, EngineOptions
from cxr_edge.errors import EngineError, UsageError

__all__ = ["ENGINES", "EngineRow", "engine_row"]


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One engine of the table.

    Attributes:
        name: what users and manifests call it.
        module: module of its adapter, imported only when the engine is opened.
        class_name: its `Engine` subclass in that module.
        runtime: top-level module that must be importable.
        remedy: how to get it, as a sentence's end.
        devices: where it runs; the first is the default and the one that ``auto`` may choose.
        ready: ``"module:function"`` that says why the engine is not ready for a bundle on this device, for one that
            needs more than its runtime, such as a plan that was built before. None: what is installed is ready.
    """

    name: str
    module: str
    class_name: str
    runtime: str
    remedy: str
    devices: tuple[str, ...]
    ready: str | None = None

    def is_installed(self) -> bool:
        """True when the runtime can be found; nothing is imported."""
        return importlib.util.find_spec(self.runtime) is not None

    def runtime_version(self) -> str | None:
        """The version of the installed runtime, "installed" where no package says that it brought it, else None.

        The runtime is not imported: a broken one must not break the command that shows it. The module of one name can
        come from packages of others: onnxruntime from onnxruntime-gpu, too.
        """
        if not self.is_installed():
            return None
        from importlib import metadata  # only few commands need it, and all would wait for it

        try:
            return metadata.version(self.runtime)
        except metadata.PackageNotFoundError:
            packages = metadata.packages_distributions().get(self.runtime.partition(".")[0], [])
            return metadata.version(packages[0]) if packages else "installed"

    def misfit(self, bundle: Bundle, options: EngineOptions) -> str | None:
        """Why an installed engine cannot open the bundle yet, as its `ready` says; None when it can.

        Raises:
            EngineError: the module that would say it does not load.
        """
        if self.ready is None:
            return None
        module, function = self.ready.split(":")
        reason: str | None = getattr(self._imported(module), function)(bundle, options)
        return reason

    def load(self) -> type[Engine]:
        """The adapter's class.

        Raises:
            EngineError: the runtime is not installed, or does not import on this machine.
        """
        if not self.is_installed():
            raise EngineError(f"engine {self.name} is not installed: {self.remedy}")
        engine_class: type[Engine] = getattr(self._imported(self.module), self.class_name)
        return engine_class

    def _imported(self, module: str) -> Any:
        try:
            return importlib.import_module(module)
        except ImportError as error:
            raise EngineError(f"engine {self.name} is installed but does not load: {error}") from error


ENGINES: tuple[EngineRow, ...] = (
    EngineRow(
        name="tensorrt",
        module="cxr_edge.engines.tensorrt.engine",
        class_name="TensorRTEngine",
        runtime="tensorrt",
        remedy="pip install 'cxr-edge[tensorrt]'",
        devices=("cuda",),
        ready="cxr_edge.engines.tensorrt.ready:misfit",
    ),
    EngineRow(
        name="native",
        module="cxr_edge.engines.native_engine",
        class_name="NativeEngine",
        runtime="cxr_edge._native",
        remedy="install cxr-edge where a C++ compiler is found",
        devices=("cpu",),
    ),
    EngineRow(
        name="openvino",
        module="cxr_edge.engines.openvino_engine",
        class_name="OpenVinoEngine",
        runtime="openvino",
        remedy="pip install 'cxr-edge[openvino]'",
        devices=("cpu", "cpu-bf16"),
    ),
    EngineRow(
        name="onnxruntime",
        module="cxr_edge.engines.onnxruntime_engine",
        class_name="OnnxRuntimeEngine",
        runtime="onnxruntime",
        remedy="pip install 'onnxruntime'",
        devices=("cpu", "cuda"),
    ),
)


def engine_row(name: str) -> EngineRow:
    """The row of an engine.

    Raises:
        UsageError: the table has no engine of this name; the message lists those it has.
    """
    for row in ENGINES:
        if row.name == name:
            return row
    names = ", ".join(row.name for row in ENGINES)
    raise UsageError(f"engine {name!r} is unknown; known are auto, {names}")
