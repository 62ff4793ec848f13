"""OpenVINO without its telemetry: the only door through which this package imports it.

``import openvino`` of the PyPI wheel imports ``openvino.tools.ovc``, which sends an event to google-analytics.com from
a child process and leaves an identifier in ``~/intel``, without asking (openvino-telemetry counts a missing consent
file as consent; seen in openvino 2026.4.1 with openvino-telemetry 2025.2.0). Neither belongs on a device in a hospital.
Where the module that sends cannot be imported, OpenVINO takes its own stub instead, so the name is blocked for the rest
of the process; a telemetry that the application has imported before is left alone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

__all__ = ["openvino"]

SENDER = "openvino_telemetry"

if SENDER not in sys.modules:
    sys.modules[SENDER] = None  # type: ignore[assignment]  # documented: makes the import an ImportError

openvino: Any = import_module("openvino")
