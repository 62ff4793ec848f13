"""The machine and the software that a record was made with. Never its host name: records are published."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import cxr_edge
from cxr_edge.bench.sensors import text_in
from cxr_edge.bundle import Bundle
from cxr_edge.engines import available_threads
from cxr_edge.preprocess import implementation

__all__ = ["Machine", "load_average", "this_machine"]

PACKAGES = (
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "Pillow",
    "imagecodecs",
    "pydicom",
    "opencv-python-headless",
    "scikit-image",
    "torch",
    "monai",
    "nncf",
)
"""What decides a figure of ours or of a peer; those that are not installed are left out."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What must be equal for two measurements to belong to one record.

    Attributes:
        cpu: model name.
        flags: what the CPU can do, as the kernel names it, sorted.
        cores, usable_cores: of the machine, and those that this process may use.
        governor: of the CPU clock, such as ``"performance"``; None where the platform does not tell.
        memory_mb: of the machine, megabytes of 2**20 bytes.
        system: operating system and architecture.
        python: version.
        versions: of the packages that decide a figure, and ``cxr-edge``.
        preprocessing: the implementation in use.
        commit: of the checkout, with ``+`` where tracked files were changed; None in an installed wheel.
        bundle: name, version and start of the SHA-256 of the manifest.
    """

    cpu: str
    flags: tuple[str, ...]
    cores: int
    usable_cores: int
    governor: str | None
    memory_mb: int | None
    system: str
    python: str
    versions: dict[str, str]
    preprocessing: str
    commit: str | None
    bundle: str

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal machine."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Machine:
        """What `to_json` wrote.

        Raises:
            KeyError: a field is missing.
        """
        return cls(**{**{field.name: value[field.name] for field in fields(cls)}, "flags": tuple(value["flags"])})

    @property
    def identity(self) -> str:
        """A short hash of all fields."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]

    def differences(self, other: Machine) -> tuple[str, ...]:
        """``"field: mine -> other's"`` for each field that differs, flags by name only."""
        changed = []
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if mine != theirs:
                changed.append(field.name if field.name == "flags" else f"{field.name}: {mine} -> {theirs}")
        return tuple(changed)


def this_machine(bundle: Bundle) -> Machine:
    """What runs here."""
    manifest = bundle.manifest
    model, flags = cpu_model_and_flags(Path("/proc/cpuinfo"), Path("/proc/device-tree/model"))
    return Machine(
        cpu=model,
        flags=flags,
        cores=os.cpu_count() or 1,
        usable_cores=available_threads(),
        governor=text_in(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        memory_mb=memory_mb(Path("/proc/meminfo")),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=versions(),
        preprocessing=implementation(),
        commit=commit(Path(cxr_edge.__file__).parents[1]),
        bundle=f"{manifest.name} {manifest.version} {bundle.sha256[:12]}",
    )


def cpu_model_and_flags(cpuinfo: Path, device_model: Path) -> tuple[str, tuple[str, ...]]:
    """The CPU's name, on ARM boards the board's, and its flags."""
    text = text_in(cpuinfo) or ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    board = (text_in(device_model) or "").rstrip("\0")
    model = (name and name.group(1)) or board or platform.processor() or platform.machine()
    return model.strip(), tuple(sorted(flags.group(1).split())) if flags else ()


def memory_mb(meminfo: Path) -> int | None:
    """Memory of the machine, megabytes of 2**20 bytes."""
    total = re.search(r"^MemTotal:\s*(\d+) kB", text_in(meminfo) or "", re.MULTILINE)
    return int(total.group(1)) // 1024 if total else None


def versions() -> dict[str, str]:
    """Versions of cxr-edge and of the installed packages in `PACKAGES`."""
    installed = {package: version_of(package) for package in PACKAGES}
    return {"cxr-edge": cxr_edge.__version__} | {name: version for name, version in installed.items() if version}


def version_of(package: str) -> str | None:
    """The version of an installed package, else None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def commit(checkout: Path) -> str | None:
    """The checkout's commit, ``+`` after it where tracked files were changed; None where it is no git checkout."""
    if not (checkout / ".git").exists():
        return None
    try:
        head = _git(checkout, "rev-parse", "--short=12", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + "+" * bool(changed)


def load_average() -> float | None:
    """How many processes wanted to run in the last minute, on average; None where the platform does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
