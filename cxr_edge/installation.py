"""What is installed on this machine, as a record: version, preprocessing, engines, bundle."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import import_module, metadata

import cxr_edge
from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.engines import ENGINES, available_threads
from cxr_edge.errors import BundleError
from cxr_edge.preprocess import implementation

__all__ = ["BundleSummary", "EngineStatus", "Installation", "installation"]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One engine of the table: its runtime's version, or None where it isn't installed, and what brings it."""

    name: str
    version: str | None
    extra: str


@dataclass(frozen=True, slots=True)
class BundleSummary:
    """The lines of a bundle's manifest that a user asks for first."""

    name: str
    version: str
    path: str
    sha256: str
    released: bool
    precisions: tuple[str, ...]
    input: str
    operating_points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installation:
    """What runs here.

    Attributes:
        version: of cxr-edge.
        python, platform: interpreter version and operating system with architecture.
        threads: CPU cores that this process may use.
        preprocessing: the implementation in use; numpy where the native extension was not built.
        engines: every engine that this version knows, installed or not.
        bundle: the bundle that was asked about; None when the one that ships can't be opened.
        bundle_error: why not, else None.
    """

    version: str
    python: str
    platform: str
    threads: int
    preprocessing: str
    engines: tuple[EngineStatus, ...]
    bundle: BundleSummary | None
    bundle_error: str | None


def installation(bundle: str | os.PathLike[str] | None = None) -> Installation:
    """What is installed, with a summary of a bundle (None: the one that ships).

    Raises:
        BundleError: the bundle that was asked for by name can't be opened; for the one that ships, the record says so.
    """
    shown, bundle_error = None, None
    try:
        shown = summary(open_bundle(bundle))
    except BundleError as error:
        if bundle is not None:
            raise
        bundle_error = str(error)
    return Installation(
        version=cxr_edge.__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        threads=available_threads(),
        preprocessing=implementation(),
        engines=tuple(
            EngineStatus(row.name, runtime_version(row.runtime) if row.is_installed() else None, row.requirement)
            for row in ENGINES
        ),
        bundle=shown,
        bundle_error=bundle_error,
    )


def runtime_version(module: str) -> str:
    """The version of an installed runtime, or "installed" where neither its package nor its module tells.

    The module of one name can come from packages of others: onnxruntime from onnxruntime-gpu, too.
    """
    try:
        return metadata.version(module)
    except metadata.PackageNotFoundError:
        pass
    try:
        return str(getattr(import_module(module), "__version__", "installed"))
    except ImportError:
        return "installed"


def summary(bundle: Bundle) -> BundleSummary:
    """The first lines of a bundle's manifest."""
    manifest = bundle.manifest
    spec = manifest.preprocess
    return BundleSummary(
        name=manifest.name,
        version=manifest.version,
        path=str(bundle.path),
        sha256=bundle.sha256,
        released=manifest.released,
        precisions=tuple(manifest.models),
        input=f"{spec.variant}, {spec.width}x{spec.height}",
        operating_points=tuple(
            point.name + (" (default)" if point.name == manifest.default_operating_point else "")
            for point in manifest.operating_points
        ),
    )
