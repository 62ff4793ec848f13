"""Plans on this device's disk, each with a record of its key and its hash.

A plan is code for the GPU and, where version-compatible, for the CPU: loading one is running it. So plans live in a
directory that only this user can enter, and one is loaded only if its bytes match the hash in its record. The record is
written last: a plan without one is never looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from cxr_edge.atomic import output_errors, write_atomically
from cxr_edge.engines.device_cache import cache_folder
from cxr_edge.engines.tensorrt.plan_key import PlanKey, PlanTarget
from cxr_edge.engines.tensorrt.plan_record import Lookup, PlanRecord
from cxr_edge.engines.tensorrt.private_directory import check_private, make_private, read_own_file
from cxr_edge.errors import EngineError, UsageError

__all__ = ["PlanStore", "default_directory"]

MAX_RECORD_BYTES = 1 << 16
MAX_PLAN_BYTES = 2 << 30

REBUILD = "build it again with `cxr-edge build --force`"


class PlanStore:
    """Plans and timing caches in one private directory.

    Args:
        directory: made when something is stored.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def find(self, target: PlanTarget, bundle: str) -> Lookup:
        """The newest plan that fits, else the one with the fewest differences among those of the bundle's precision.

        Raises:
            EngineError: the directory is open to other users.
        """
        records = sorted(self.records(), key=lambda record: record.built, reverse=True)
        related = [
            (record.key.differences(target), record)
            for record in records
            if record.key.target.precision == target.precision
            and (record.bundle == bundle or record.key.target.model_sha256 == target.model_sha256)
        ]
        if not related:
            return Lookup(None)
        differences, record = min(related, key=lambda pair: len(pair[0]))
        return Lookup(record, differences)

    def exact(self, key: PlanKey) -> PlanRecord | None:
        """The record of a plan with exactly this key, None where there is none.

        Raises:
            EngineError: the directory is open to other users.
        """
        return next((record for record in self.records() if record.key == key), None)

    def records(self) -> Iterator[PlanRecord]:
        """Every record that can be read; a file that is no record is passed over, as if its plan were not there.

        Raises:
            EngineError: the directory is open to other users.
        """
        if not self.directory.is_dir():
            return
        check_private(self.directory)
        for path in sorted(self.directory.glob("*.plan.json")):
            try:
                record = PlanRecord.from_bytes(read_own_file(path, MAX_RECORD_BYTES))
            except (OSError, KeyError, TypeError, ValueError, UsageError):
                continue
            if path.name == f"{record.key.digest()}.plan.json":
                yield record

    def load(self, record: PlanRecord) -> bytes:
        """The plan's bytes, hashed as they were read.

        Raises:
            EngineError: missing, unreadable, truncated or changed since it was built.
        """
        check_private(self.directory)
        path = self.plan_path(record.key)
        try:
            plan = read_own_file(path, MAX_PLAN_BYTES)
        except OSError as error:
            raise EngineError(f"cannot read the plan {path}: {error.strerror}; {REBUILD}") from error
        if len(plan) != record.size:
            raise EngineError(f"the plan {path} has {len(plan)} bytes, its record says {record.size}: {REBUILD}")
        if hashlib.sha256(plan).hexdigest() != record.sha256:
            raise EngineError(f"the plan {path} does not match its SHA-256, so it is not loaded: {REBUILD}")
        return plan

    def save(self, key: PlanKey, bundle: str, plan: bytes, layers: str, device_memory: int) -> PlanRecord:
        """The record of a plan after storing it, its layer report beside it; plans that it supersedes are removed.

        Args:
            key: what it was built from, for and how.
            bundle: name of its bundle.
            plan: its bytes.
            layers: what TensorRT's engine inspector says of its layers, JSON.
            device_memory: bytes of GPU memory of one execution context.

        Raises:
            OutputError: it could not be written.
            EngineError: the directory is open to other users.
        """
        make_private(self.directory)
        record = PlanRecord(
            key=key,
            bundle=bundle,
            sha256=hashlib.sha256(plan).hexdigest(),
            size=len(plan),
            device_memory=device_memory,
            built=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        )
        superseded = [old for old in self.records() if self._superseded(old, record)]
        self._record_path(key).unlink(missing_ok=True)  # while its plan is being replaced it must not be believed
        write_atomically(self.plan_path(key), plan)
        write_atomically(self.layers_path(key), layers.encode())
        write_atomically(self._record_path(key), record.to_bytes())
        for old in superseded:
            self._remove(old.key)
        return record

    def timing_cache(self, target: PlanTarget) -> bytes:
        """How long layers took in earlier builds for the same GPU and TensorRT; empty where nothing is kept.

        TensorRT checks that the cache belongs to the device; that its bytes are whole is checked here.
        """
        try:
            data = read_own_file(self._timing_path(target), MAX_PLAN_BYTES)
        except OSError:
            return b""
        digest, cache = data[:32], data[32:]
        return cache if hashlib.sha256(cache).digest() == digest else b""

    def save_timing_cache(self, target: PlanTarget, cache: bytes) -> None:
        """Keep what a build has measured for the next one.

        Raises:
            OutputError: it could not be written.
            EngineError: the directory is open to other users.
        """
        make_private(self.directory)
        write_atomically(self._timing_path(target), hashlib.sha256(cache).digest() + cache)

    def plan_path(self, key: PlanKey) -> Path:
        """Where the plan of a key lies."""
        return self.directory / f"{key.digest()}.plan"

    def layers_path(self, key: PlanKey) -> Path:
        """Where the layer report of a key's plan lies."""
        return self.directory / f"{key.digest()}.layers.json"

    def _record_path(self, key: PlanKey) -> Path:
        return self.directory / f"{key.digest()}.plan.json"

    def _timing_path(self, target: PlanTarget) -> Path:
        place = (target.tensorrt_version, target.device_name, target.compute_capability, target.driver)
        return self.directory / f"{hashlib.sha256(repr(place).encode()).hexdigest()[:32]}.timing"

    def _superseded(self, old: PlanRecord, new: PlanRecord) -> bool:
        """Whether a plan has no use any more: the same thing on the same GPU, from older parts."""
        return (
            old.key != new.key
            and old.bundle == new.bundle
            and old.key.options == new.key.options
            and old.key.target.precision == new.key.target.precision
            and old.key.target.device_name == new.key.target.device_name
        )

    def _remove(self, key: PlanKey) -> None:
        for path in (self._record_path(key), self.plan_path(key), self.layers_path(key)):
            with output_errors(path):
                path.unlink(missing_ok=True)


def default_directory() -> Path:
    """Where this user's plans lie: the folder ``tensorrt`` of the device's cache.

    Raises:
        OutputError: this user has no home directory, and no variable names another place.
    """
    return cache_folder() / "tensorrt"
