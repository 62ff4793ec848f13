"""cxr-edge: a chest X-ray in, a calibrated probability of "abnormal" with a heatmap out, offline, in milliseconds.

Research software; not a medical device and not for diagnosis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxr_edge.classifier import Classifier
    from cxr_edge.decode.limits import DecodeLimits
    from cxr_edge.errors import CxrEdgeError
    from cxr_edge.records import Box, Frame, Radiograph, Window
    from cxr_edge.result import Result

__version__ = "0.1.0"

__all__ = [
    "Box",
    "Classifier",
    "CxrEdgeError",
    "DecodeLimits",
    "Frame",
    "Radiograph",
    "Result",
    "Window",
    "__version__",
]

HOMES = {
    "Box": "cxr_edge.records",
    "Classifier": "cxr_edge.classifier",
    "CxrEdgeError": "cxr_edge.errors",
    "DecodeLimits": "cxr_edge.decode.limits",
    "Frame": "cxr_edge.records",
    "Radiograph": "cxr_edge.records",
    "Result": "cxr_edge.result",
    "Window": "cxr_edge.records",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import cxr_edge`` itself costs nothing (PEP 562)."""
    if name not in HOMES:
        raise AttributeError(f"module 'cxr_edge' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
