"""The parts of a bundle's manifest: its files, its models, its golden input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from cxr_edge.bundle.fields import Fields
from cxr_edge.bundle.tolerances import Tolerances
from cxr_edge.errors import BundleError

__all__ = ["PRECISIONS", "ROLES", "FileEntry", "Golden", "ModelEntry", "Precision", "Role"]

Precision = Literal["fp32", "fp16", "int8", "int8-fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""How a model file stores its numbers; precision lives in the file, never in an engine's flags."""

Role = Literal["model", "localiser", "golden", "model-card", "evidence"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What a file of a bundle is for."""

MAX_FILE_BYTES = 1 << 30
"""Largest file of a bundle, 1 GiB: files are read whole, on devices with little memory."""

# One flat directory of plain ASCII names: no separators, no "..", no leading dot, nothing that a shell, another file
# system or Unicode normalisation could read differently.
FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,126}"
MODEL_NAME = FILE_NAME + r"\.onnx"
NATIVE_NAME = FILE_NAME + r"\.native"
SHA256 = r"[0-9a-f]{64}"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a bundle.

    Attributes:
        name: plain file name inside the bundle's directory.
        sha256: of its contents, lower-case hexadecimal.
        size: bytes.
        role: what it is for.
        licence: terms of this file where they differ from the package's, for example of weights; None otherwise.
    """

    name: str
    sha256: str
    size: int
    role: Role
    licence: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping, without the name, that `from_json` reads back."""
        entry: dict[str, Any] = {"sha256": self.sha256, "bytes": self.size, "role": self.role}
        return entry if self.licence is None else {**entry, "license": self.licence}

    @classmethod
    def from_json(cls, value: Any, place: str, name: str) -> FileEntry:
        """The entry that `to_json` wrote.

        Raises:
            BundleError: a field is missing, unknown or of another form.
        """
        fields = Fields(value, place)
        role = fields.text("role")
        if role not in ROLES:
            raise BundleError(f"{place}.role is {role!r}; this version knows {', '.join(ROLES)}")
        entry = cls(
            name=name,
            sha256=fields.text("sha256", SHA256),
            size=fields.integer("bytes", 0, MAX_FILE_BYTES),
            role=role,
            licence=fields.optional_text("license"),
        )
        fields.finish()
        return entry


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One precision of the network.

    Attributes:
        file: name of its ONNX file.
        engines: names of the engines that may run it.
        parity_passed: those of them whose parity gate it passed at export; only these are chosen automatically.
        tolerances: limits that its parity is judged by; None where the bundle gives none (every bundle of schema 1),
            so that those of the version that measures apply.
        native: name of the file that our own engine runs in place of the ONNX file; None where there is none.
        native_tolerances: like ``tolerances``, for that file.
    """

    file: str
    engines: tuple[str, ...]
    parity_passed: tuple[str, ...]
    tolerances: Tolerances | None = None
    native: str | None = None
    native_tolerances: Tolerances | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back."""
        entry: dict[str, Any] = {"file": self.file}
        if self.native is not None:
            entry["native"] = self.native
        entry |= {"engines": list(self.engines), "parity_passed": list(self.parity_passed)}
        for name, limits in (("tolerances", self.tolerances), ("native_tolerances", self.native_tolerances)):
            if limits is not None:
                entry[name] = limits.to_json()
        return entry

    @property
    def model_files(self) -> tuple[str, ...]:
        """Every file that holds this precision's network."""
        return (self.file,) if self.native is None else (self.file, self.native)

    @classmethod
    def from_json(cls, value: Any, place: str, schema: int) -> ModelEntry:
        """The entry that `to_json` wrote.

        Args:
            value: the parsed JSON.
            place: what messages call it.
            schema: of the manifest; tolerances came with schema 2.

        Raises:
            BundleError: a field is missing, unknown or of another form, or an engine passed that may not run it.
        """
        fields = Fields(value, place)
        limits = {
            name: Tolerances.from_json(value, f"{place}.{name}")
            for name in (("tolerances", "native_tolerances") if schema >= 2 else ())
            if (value := fields.take_optional(name)) is not None
        }
        native = fields.optional_text("native", NATIVE_NAME) if schema >= 2 else None
        entry = cls(
            file=fields.text("file", MODEL_NAME),
            engines=fields.texts("engines"),
            parity_passed=fields.texts("parity_passed"),
            tolerances=limits.get("tolerances"),
            native=native,
            native_tolerances=limits.get("native_tolerances"),
        )
        fields.finish()
        if not set(entry.parity_passed) <= set(entry.engines):
            raise BundleError(f"{place}.parity_passed names engines that are not in its engines")
        return entry


@dataclass(frozen=True, slots=True)
class Golden:
    """A stored frame and what preprocessing and every precision make of it: the bundle's self-test.

    Attributes:
        frame: name of a ``.npy`` file, one uint8 or uint16 frame ``[H, W]``, displayed over its ``bits_stored`` range.
        bits_stored: significant bits of the frame.
        input_sha256: of the network input as little-endian float32 in C order; exact, so it must match.
        logit: expected logits ``[K]`` for each precision, computed by the reference engine.
        tolerance: largest allowed absolute difference of a logit, for each precision.
    """

    frame: str
    bits_stored: int
    input_sha256: str
    logit: Mapping[str, tuple[float, ...]]
    tolerance: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back."""
        return {
            "frame": self.frame,
            "bits_stored": self.bits_stored,
            "input_sha256": self.input_sha256,
            "logit": {precision: list(values) for precision, values in self.logit.items()},
            "tolerance": dict(self.tolerance),
        }

    @classmethod
    def from_json(cls, value: Any, place: str) -> Golden:
        """The record that `to_json` wrote.

        Raises:
            BundleError: a field is missing, unknown or of another form.
        """
        fields = Fields(value, place)
        logit = Fields(fields.mapping("logit"), f"{place}.logit")
        tolerance = Fields(fields.mapping("tolerance"), f"{place}.tolerance")
        golden = cls(
            frame=fields.text("frame", FILE_NAME + r"\.npy"),
            bits_stored=fields.integer("bits_stored", 1, 16),
            input_sha256=fields.text("input_sha256", SHA256),
            logit={precision: logit.numbers(precision) for precision in logit.names()},
            tolerance={precision: tolerance.number(precision, 0.0) for precision in tolerance.names()},
        )
        fields.finish()
        return golden
