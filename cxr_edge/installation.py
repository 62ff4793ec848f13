"""What is installed on this machine, as a record: version, preprocessing, engines, cache, bundle."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import cxr_edge
from cxr_edge.bundle import Bundle, open_bundle
from cxr_edge.engines import ENGINES, available_threads, cache_folder
from cxr_edge.engines.tuning import TunedModel, stored_tuning
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
        tuned: what `cxr-edge tune` found fastest for that bundle on this device; None where it was not run, or for
            another bundle, machine or version.
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
    tuned: TunedModel | None
    bundle: BundleSummary | None
    bundle_error: str | None


def installation(bundle: str | os.PathLike[str] | None = None) -> Installation:
    """What is installed, with a summary of a bundle (None: the one that ships).

    Raises:
        BundleError: the bundle that was asked for by name can't be opened; for the one that ships, the record says so.
    """
    opened, bundle_error = None, None
    try:
        opened = open_bundle(bundle)
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
                version=row.runtime_version(),
                remedy=row.remedy,
                devices=row.devices,
            )
            for row in ENGINES
        ),
        cache=cache(),
        tuned=tuned(opened),
        bundle=None if opened is None else summary(opened),
        bundle_error=bundle_error,
    )


def cache() -> str | None:
    """The folder of compiled models; None where this user has no place for one."""
    try:
        return str(cache_folder())
    except OutputError:
        return None


def tuned(bundle: Bundle | None) -> TunedModel | None:
    """What ``auto`` prefers for a bundle because `cxr-edge tune` found it fastest here; None where nothing holds."""
    found = None if bundle is None else stored_tuning(bundle, available_threads())
    return found.ranked[0] if found and found.ranked else None


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
