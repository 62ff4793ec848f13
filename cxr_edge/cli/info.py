"""``cxr-edge info``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from cxr_edge.cli.application import app, describe, reported
from cxr_edge.cli.options import BundleOption, DebugOption, JsonOption

if TYPE_CHECKING:
    from cxr_edge.engines.tuning import TunedModel
    from cxr_edge.installation import BundleSummary, EngineStatus


@app.command()
@reported
def info(bundle: BundleOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """What is installed here: version, preprocessing, engines, cache, and what the bundle says of itself.

    Research use only: not for diagnosis.
    """
    from cxr_edge.installation import installation

    found = installation(bundle)
    if as_json:
        print(json.dumps(asdict(found)))
        return
    print(
        describe(
            cxr_edge=found.version,
            python=f"{found.python} on {found.platform}, {found.threads} usable cores",
            preprocessing=found.preprocessing,
            engines="; ".join(engine_line(engine) for engine in found.engines),
            cache=found.cache or "none: set CXR_EDGE_CACHE to a folder",
            tuned=tuned_line(found.tuned),
            **(bundle_lines(found.bundle) if found.bundle else {"bundle": f"none ({found.bundle_error})"}),
        )
    )


def engine_line(engine: EngineStatus) -> str:
    """An engine with its version and devices, or with what brings it."""
    if engine.version is None:
        return f"{engine.name}: {engine.remedy}"
    return f"{engine.name} {engine.version} ({', '.join(engine.devices)})"


def tuned_line(tuned: TunedModel | None) -> str:
    """What ``auto`` prefers on this device, or how to find out."""
    if tuned is None:
        return "no: `cxr-edge tune` finds what is fastest here"
    return f"{tuned.engine} {tuned.precision}, {tuned.threads} threads ({tuned.p50_ms:.1f} ms when it was measured)"


def bundle_lines(bundle: BundleSummary) -> dict[str, str]:
    """The bundle's part of the record, by name of the line."""
    return {
        "bundle": f"{bundle.name} {bundle.version} ({bundle.path})",
        "released": "yes" if bundle.released else "NO: its results are marked",
        "precisions": ", ".join(bundle.precisions),
        "input": bundle.input,
        "operating_points": ", ".join(bundle.operating_points),
        "sha256": bundle.sha256,
    }
