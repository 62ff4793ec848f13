"""What a plan depends on. A plan whose key differs in one field may be wrong, slow, or crash TensorRT."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from cxr_edge.bundle import Bundle, ModelEntry
from cxr_edge.engines.tensorrt.preflight import Machine
from cxr_edge.errors import EngineError, UsageError

__all__ = ["BUILDABLE", "BuildOptions", "Difference", "PlanKey", "PlanTarget", "model_of", "target_of"]

BUILDABLE = ("fp32", "fp16", "int8-fp16")
"""Precisions of model files that plans are built from; ``int8`` on a command line means the last."""

MAX_BATCH = 64
MAX_WORKSPACE_MIB = 1 << 16
AMPERE = (8, 0)
"""The oldest GPUs that a hardware-compatible plan runs on (HardwareCompatibilityLevel.AMPERE_PLUS)."""


@dataclass(frozen=True, slots=True)
class PlanTarget:
    """What a plan must have been built from and for, apart from how.

    Attributes:
        model_sha256: of the ONNX file.
        precision: of the ONNX file.
        input_shape: of one image, ``"1x224x224"``.
        tensorrt_version: of the builder and of the runtime.
        device_name: of the GPU.
        compute_capability: ``"8.7"``.
        driver: of the GPU.
    """

    model_sha256: str
    precision: str
    input_shape: str
    tensorrt_version: str
    device_name: str
    compute_capability: str
    driver: str


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a plan is built.

    Attributes:
        batch: smallest, preferred and largest number of images in one run; all 1 is a fixed shape, the fastest.
        workspace_mib: most scratch memory that one layer may use, MiB.
        optimization_level: 0 (quick build) to 5 (long search); TensorRT's own default is 3.
        version_compatible: the plan also runs on newer TensorRT versions of the same major number; slower.
        hardware_compatible: the plan also runs on other GPUs from Ampere on; slower.

    Raises:
        UsageError: a number outside its range.
    """

    batch: tuple[int, int, int] = (1, 1, 1)
    workspace_mib: int = 512
    optimization_level: int = 3
    version_compatible: bool = False
    hardware_compatible: bool = False

    def __post_init__(self) -> None:
        smallest, preferred, largest = self.batch
        if not 1 <= smallest <= preferred <= largest <= MAX_BATCH:
            raise UsageError(f"batch must be MIN,OPT,MAX with 1 <= MIN <= OPT <= MAX <= {MAX_BATCH}; got {self.batch}")
        if not 1 <= self.workspace_mib <= MAX_WORKSPACE_MIB:
            raise UsageError(f"workspace must be 1 to {MAX_WORKSPACE_MIB} MiB; got {self.workspace_mib}")
        if not 0 <= self.optimization_level <= 5:
            raise UsageError(f"optimization level must be 0 to 5; got {self.optimization_level}")

    @property
    def fixed_batch(self) -> bool:
        """Whether the plan takes one number of images only, so that its shapes are constants."""
        return self.batch[0] == self.batch[2]


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which a plan on disk does not fit; values are for people."""

    field: str
    plan: str
    here: str

    def __str__(self) -> str:
        return f"{self.field} was {_short(self.plan)}, is {_short(self.here)}"


@dataclass(frozen=True, slots=True)
class PlanKey:
    """The full key: what for, and how."""

    target: PlanTarget
    options: BuildOptions = field(default_factory=BuildOptions)

    def digest(self) -> str:
        """A short name for files: every field takes part."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:32]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back."""
        return {**asdict(self.target), **asdict(self.options), "batch": list(self.options.batch)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PlanKey:
        """The key that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError, UsageError: a field is missing or of another form.
        """
        target = PlanTarget(**{one.name: _text(value[one.name]) for one in fields(PlanTarget)})
        smallest, preferred, largest = (_whole(number) for number in value["batch"])
        options = BuildOptions(
            batch=(smallest, preferred, largest),
            workspace_mib=_whole(value["workspace_mib"]),
            optimization_level=_whole(value["optimization_level"]),
            version_compatible=value["version_compatible"] is True,
            hardware_compatible=value["hardware_compatible"] is True,
        )
        return cls(target, options)

    def differences(self, here: PlanTarget) -> tuple[Difference, ...]:
        """The fields in which a plan of this key does not fit what is needed here; empty when it may be run."""
        found = (
            Difference(one.name, getattr(self.target, one.name), getattr(here, one.name)) for one in fields(PlanTarget)
        )
        return tuple(one for one in found if one.plan != one.here and not self._tolerates(one))

    def _tolerates(self, difference: Difference) -> bool:
        """Whether the plan was built so that it stands this difference."""
        if difference.field == "tensorrt_version" and self.options.version_compatible:
            plan, here = version_numbers(difference.plan), version_numbers(difference.here)
            return plan[0] == here[0] and plan <= here
        if difference.field in ("device_name", "compute_capability") and self.options.hardware_compatible:
            capability = difference.here if difference.field == "compute_capability" else None
            return capability is None or version_numbers(capability) >= AMPERE
        return False


def target_of(bundle: Bundle, precision: str, machine: Machine) -> PlanTarget:
    """What a plan of the bundle's model must match on this machine.

    Raises:
        EngineError, UsageError: as `model_of`.
    """
    spec = bundle.manifest.preprocess
    return PlanTarget(
        model_sha256=bundle.manifest.files[model_of(bundle, precision).file].sha256,
        precision=precision,
        input_shape=f"1x{spec.height}x{spec.width}",
        tensorrt_version=machine.tensorrt,
        device_name=machine.gpu.name,
        compute_capability=".".join(map(str, machine.gpu.compute_capability)),
        driver=machine.gpu.driver,
    )


def model_of(bundle: Bundle, precision: str) -> ModelEntry:
    """The bundle's model of a precision, once it is certain that it may run on TensorRT.

    Raises:
        UsageError: a precision that TensorRT plans are not built from.
        EngineError: the bundle does not hold it, or does not allow it for TensorRT.
    """
    if precision not in BUILDABLE:
        raise UsageError(f"TensorRT plans are built from {', '.join(BUILDABLE)} models; got {precision!r}")
    models = bundle.manifest.models
    if precision not in models:
        raise EngineError(f"bundle {bundle.manifest.name!r} holds no {precision} model; it holds {', '.join(models)}")
    entry = models[precision]
    if "tensorrt" not in entry.engines or entry.file not in bundle.manifest.files:
        raise EngineError(
            f"the bundle's {precision} model is for {', '.join(entry.engines) or 'no engine'}, not for tensorrt"
        )
    return entry


def _short(value: str) -> str:
    """The beginning of a hash; anything else as it is."""
    return value[:12] if re.fullmatch("[0-9a-f]{64}", value) else value


def version_numbers(version: str) -> tuple[int, ...]:
    """The numbers of a dotted version, for comparing; whatever is no number ends it."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number, got {type(value).__name__}")
    return value
