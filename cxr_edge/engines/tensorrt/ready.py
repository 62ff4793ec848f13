"""Whether ``auto`` may take TensorRT. Without a plan for the bundle nothing heavy is imported to find that out."""

from __future__ import annotations

import importlib.util

from cxr_edge.bundle import Bundle
from cxr_edge.engines.base import EngineOptions
from cxr_edge.engines.tensorrt.plan_key import model_of, target_of
from cxr_edge.engines.tensorrt.plan_record import Lookup
from cxr_edge.engines.tensorrt.plan_store import PlanStore, default_directory
from cxr_edge.engines.tensorrt.preflight import REQUIREMENT, check_machine, not_installed
from cxr_edge.errors import CxrEdgeError

__all__ = ["misfit"]


def misfit(bundle: Bundle, options: EngineOptions) -> str | None:
    """Why TensorRT cannot run the bundle here and now; None when it can.

    TensorRT itself is imported, for its version, only where a plan of the bundle's precision is on this device.
    """
    reason = not_installed()
    if reason is not None:
        return reason
    if importlib.util.find_spec("pycuda") is None:
        return f"PyCUDA is not installed: pip install '{REQUIREMENT}'"
    store = PlanStore(default_directory())
    precision = options.precision
    try:
        model = bundle.manifest.files[model_of(bundle, precision).file].sha256
        related = (
            record
            for record in store.records()
            if record.key.target.precision == precision
            and (record.bundle == bundle.manifest.name or record.key.target.model_sha256 == model)
        )
        if next(related, None) is None:
            return Lookup(None).problem(precision)
        target = target_of(bundle, precision, check_machine())
        return store.find(target, bundle.manifest.name).problem(precision)
    except CxrEdgeError as error:
        return str(error)
