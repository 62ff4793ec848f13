"""What `cxr-edge tune` found fastest on this device, for ``auto`` to prefer: a cache like compiled models, and no more.

It can only put engines, precisions and thread counts in another order. Whatever is chosen must be installed, fit the
bundle and have passed its parity gate all the same; a record of another bundle, machine or version is not looked at.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cxr_edge
from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.bundle import Bundle
from cxr_edge.engines.device_cache import cache_folder, open_own
from cxr_edge.engines.registry import ENGINES
from cxr_edge.errors import OutputError

__all__ = ["TunedModel", "Tuning", "TuningKey", "forget_tuning", "store_tuning", "stored_tuning", "tuning_key"]

SCHEMA = 1
MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class TuningKey:
    """What a tuning depends on: where one field differs, it is as if there were none.

    Attributes:
        bundle_sha256: of the manifest, which lists the hash of every model.
        processor: model name and architecture.
        usable_cores: that this process may use.
        versions: of cxr-edge and of every engine's runtime that is installed: a new or another one is a new race.
    """

    bundle_sha256: str
    processor: str
    usable_cores: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TunedModel:
    """One candidate.

    Attributes:
        engine, precision: what ran.
        threads: of one inference.
        p50_ms: median time of one inference, milliseconds.
    """

    engine: str
    precision: str
    threads: int
    p50_ms: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """A race on this device.

    Attributes:
        key: what it holds for.
        ranked: the candidates, the fastest first.
    """

    key: TuningKey
    ranked: tuple[TunedModel, ...]

    def to_bytes(self) -> bytes:
        """JSON, for people, too."""
        return (json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, sort_keys=True) + "\n").encode()


def tuning_key(bundle: Bundle, usable_cores: int) -> TuningKey:
    """The key of a bundle on this device.

    Args:
        bundle: verified bundle.
        usable_cores: that this process may use.
    """
    versions = {row.name: row.runtime_version() for row in ENGINES}
    return TuningKey(
        bundle_sha256=bundle.sha256,
        processor=f"{_processor(Path('/proc/cpuinfo'))} {platform.machine()}",
        usable_cores=usable_cores,
        versions={"cxr-edge": cxr_edge.__version__} | {name: text for name, text in versions.items() if text},
    )


def stored_tuning(bundle: Bundle, usable_cores: int) -> Tuning | None:
    """What was stored for exactly this bundle, device and software; None where there is nothing of that.

    Args:
        bundle: verified bundle.
        usable_cores: that this process may use.
    """
    try:
        with open_own(_path(bundle)) as file:
            found = _tuning(json.loads(file.read(MAX_BYTES)))
    # Missing, foreign, damaged, of another schema, or no home directory: all mean "not tuned".
    except (OSError, OutputError, ValueError, KeyError, TypeError):
        return None
    # Asking for every runtime's version takes time, so it is done only where there is something to compare with.
    return found if found.key == tuning_key(bundle, usable_cores) else None


def store_tuning(bundle: Bundle, tuning: Tuning) -> Path:
    """Where the tuning now lies; an older one of the same bundle is replaced.

    Raises:
        OutputError: this user has no cache folder, or it cannot be written.
    """
    path = _path(bundle)
    with output_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, tuning.to_bytes())
    return path


def forget_tuning(bundle: Bundle) -> bool:
    """Whether there was a tuning of this bundle, stale or not; it is gone now.

    Raises:
        OutputError: this user has no cache folder, or the file cannot be deleted.
    """
    path = _path(bundle)
    with output_errors(path):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
    return True


def _path(bundle: Bundle) -> Path:
    return cache_folder() / "tuned" / f"{bundle.sha256[:32]}.json"


def _tuning(value: dict[str, Any]) -> Tuning:
    """The tuning that `Tuning.to_bytes` wrote.

    Raises:
        ValueError, KeyError, TypeError: it wrote something else.
    """
    if value["schema"] != SCHEMA:
        raise ValueError("another schema")
    return Tuning(TuningKey(**value["key"]), tuple(TunedModel(**model) for model in value["ranked"]))


def _processor(cpuinfo: Path) -> str:
    """The processor's name where Linux tells it, else what Python knows."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
