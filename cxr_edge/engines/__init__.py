"""Engines that run the network: one contract, one adapter a file, one table. No runtime is imported from here."""

from cxr_edge.engines.base import Engine, EngineDescription, EngineOptions, EngineOutput
from cxr_edge.engines.device_cache import ArtefactKey, DeviceCache, cache_folder
from cxr_edge.engines.opening import available_threads, open_engine
from cxr_edge.engines.registry import ENGINES, EngineRow, engine_row

__all__ = [
    "ENGINES",
    "ArtefactKey",
    "DeviceCache",
    "Engine",
    "EngineDescription",
    "EngineOptions",
    "EngineOutput",
    "EngineRow",
    "available_threads",
    "cache_folder",
    "engine_row",
    "open_engine",
]
