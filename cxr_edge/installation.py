"""What is installed on this machine, as a record: version, preprocessing, engines, cache, bundle."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata

import cxr_edge
from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.engines import ENGINES, available_threads, cache_folder
from cxr_edge.errors import BundleError, OutputError
from cxr_edge.preprocess import implementation

__all__ = ["BundleSummary", "EngineStatus", "Installation", "installation"]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One engine of the table.

    Attributes:
        name: its name.
        version: of its runtime; None where it isn't installed.
        remedy: how to get it.
        devices: what ``--device`` takes with it, its default first. Whether this machine has them shows on opening.
    """

    name: str
    version: str | None
    remedy: str
    devices: tuple[str, ...]


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
        engines: every engine that this version knows, installed or not, in the order that ``auto`` tries them.
        cache: folder of compiled models; None where this user has none.
        bundle: the bundle that was asked about; None when the one that ships can't be opened.
        bundle_error: why not, else None.
    """

    version: str
    python: str
    platform: str
    threads: int
    preprocessing: str
    engines: tuple[EngineStatus, ...]
    cache: str | None
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
            EngineStatus(
                name=row.name,
                version=runtime_version(row.runtime) if row.is_installed() else None,
                remedy=row.remedy,
                devices=row.devices,
            )
            for row in ENGINES
        ),
        cache=cache(),
        bundle=shown,
        bundle_error=bundle_error,
    )


def cache() -> str | None:
    """The folder of compiled models; None where this user has no place for one."""
    try:
        return str(cache_folder())
    except OutputError:
        return None


def runtime_version(module: str) -> str:
    """The version of an installed runtime, or "installed" where no package says that it brought the module.

    The runtime is not imported: a broken one must not break the command that shows it. The module of one name can come
    from packages of others: onnxruntime from onnxruntime-gpu, too.
    """
    try:
        return metadata.version(module)
    except metadata.PackageNotFoundError:
        packages = metadata.packages_distributions().get(module.partition(".")[0], [])
        return metadata.version(packages[0]) if packages else "installed"


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
