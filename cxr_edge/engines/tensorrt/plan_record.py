"""What is known of a plan on disk, and what looking for one gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cxr_edge.engines.tensorrt.plan_key import Difference, PlanKey

__all__ = ["Lookup", "PlanRecord"]


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """What is known of a plan on disk.

    Attributes:
        key: what it was built from, for and how.
        bundle: name of the bundle that its model came from.
        sha256: of the plan's bytes.
        size: of the plan, bytes.
        device_memory: bytes of GPU memory that one execution context takes, as TensorRT said after the build.
        built: when, ISO 8601 in UTC.
    """

    key: PlanKey
    bundle: str
    sha256: str
    size: int
    device_memory: int
    built: str

    def to_bytes(self) -> bytes:
        """The record as JSON that `from_bytes` reads back."""
        fields = {
            "key": self.key.to_json(),
            "bundle": self.bundle,
            "sha256": self.sha256,
            "size": self.size,
            "device_memory": self.device_memory,
            "built": self.built,
        }
        return (json.dumps(fields, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> PlanRecord:
        """The record that `to_bytes` wrote.

        Raises:
            KeyError, TypeError, ValueError, UsageError: it is no such record.
        """
        fields: Any = json.loads(data)
        return cls(
            key=PlanKey.from_json(fields["key"]),
            bundle=str(fields["bundle"]),
            sha256=str(fields["sha256"]),
            size=int(fields["size"]),
            device_memory=int(fields["device_memory"]),
            built=str(fields["built"]),
        )


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the store has for a target: a plan that fits, or the nearest one and what is wrong with it, or nothing.

    Attributes:
        record: of the plan that fits, or that comes nearest; None where none has to do with the target.
        differences: why it does not fit; empty when it does.
    """

    record: PlanRecord | None
    differences: tuple[Difference, ...] = ()

    def problem(self, precision: str) -> str | None:
        """Why no plan can be run, ending with what to do; None where one can."""
        command = f"run `cxr-edge build BUNDLE --engine tensorrt --precision {precision}` on this device"
        if self.record is None:
            return f"there is no TensorRT plan for the bundle's {precision} model: {command}"
        if self.differences:
            changed = "; ".join(map(str, self.differences))
            return f"the TensorRT plan for the bundle's {precision} model is stale ({changed}): {command}"
        return None
