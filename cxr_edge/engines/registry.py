"""The table of engines, in the order in which ``auto`` prefers them. An engine is added as one row and one module."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass

from cxr_edge.engines.base import Engine
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
        requirement: what ``pip install`` needs to bring it.
        devices: where it runs; the first is the default.
    """

    name: str
    module: str
    class_name: str
    runtime: str
    requirement: str
    devices: tuple[str, ...]

    def is_installed(self) -> bool:
        """True when the runtime can be found; nothing is imported."""
        return importlib.util.find_spec(self.runtime) is not None

    def load(self) -> type[Engine]:
        """The adapter's class.

        Raises:
            EngineError: the runtime is not installed, or does not import on this machine.
        """
        if not self.is_installed():
            raise EngineError(f"engine {self.name} is not installed: pip install '{self.requirement}'")
        try:
            engine_class: type[Engine] = getattr(importlib.import_module(self.module), self.class_name)
        except ImportError as error:
            raise EngineError(f"engine {self.name} is installed but does not load: {error}") from error
        return engine_class


ENGINES: tuple[EngineRow, ...] = (
    EngineRow(
        name="onnxruntime",
        module="cxr_edge.engines.onnxruntime_engine",
        class_name="OnnxRuntimeEngine",
        runtime="onnxruntime",
        requirement="onnxruntime",
        devices=("cpu",),
    ),
)

PLANNED = ("openvino", "tensorrt")
"""Engines whose runtimes have an extra already but whose adapters are not part of this version."""


def engine_row(name: str) -> EngineRow:
    """The row of an engine.

    Raises:
        EngineError: a planned engine.
        UsageError: any other name that the table has not; the message lists those it has.
    """
    for row in ENGINES:
        if row.name == name:
            return row
    names = ", ".join(row.name for row in ENGINES)
    if name in PLANNED:
        raise EngineError(f"engine {name} is not part of this version, which has: {names}")
    raise UsageError(f"engine {name!r} is unknown; known are auto, {names}")
