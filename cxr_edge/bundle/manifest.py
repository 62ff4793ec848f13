"""What a bundle says about itself, as a frozen record, and how it is written to ``manifest.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cxr_edge.bundle.entries import FileEntry, Golden, ModelEntry, Role
from cxr_edge.errors import UsageError
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.probability import OperatingPoint, Temperature

__all__ = ["MANIFEST_NAME", "SCHEMA", "Manifest"]

MANIFEST_NAME = "manifest.json"
SCHEMA = 2
"""The newest manifest schema that this version reads and the one it writes; older ones stay readable.

Schema 2 adds ``models.<precision>.tolerances``.
"""


@dataclass(frozen=True)
class Manifest:
    """Everything a bundle says about itself.

    Attributes:
        name, version: what this model is called; printed with every result.
        created: ISO date of the export.
        cxr_edge_version: version that wrote the bundle, and that reads it for certain.
        released: True for a bundle whose evidence was gathered for release; results of others are marked.
        models: the network's precisions, by precision name.
        default_precision: precision for each kind of device, when the caller does not choose.
        outputs: names of the K logits; the first is the one that operating points apply to.
        preprocess: what is done to a radiograph; its size is the network's input.
        gate: settings of the input gate, as JSON; read by the gate itself.
        temperature: probability calibration.
        operating_points: named thresholds.
        default_operating_point: name of the one that applies when the caller does not choose.
        golden: the self-test.
        data_use: which images and patients the model has seen in which role, as JSON.
        evidence: metrics and parity that the bundle was released with, as JSON.
        model_card: name of the model card's file.
        localiser: name of the lung localiser's ONNX file; None where the network needs no lungs.
        files: every file of the bundle but the manifest, by name; the bundle writer fills it in.
    """

    name: str
    version: str
    created: str
    cxr_edge_version: str
    released: bool
    models: Mapping[str, ModelEntry]
    default_precision: Mapping[str, str]
    outputs: tuple[str, ...]
    preprocess: PreprocessSpec
    gate: Mapping[str, Any]
    temperature: Temperature
    operating_points: tuple[OperatingPoint, ...]
    default_operating_point: str
    golden: Golden
    data_use: Mapping[str, Any]
    evidence: Mapping[str, Any]
    model_card: str
    localiser: str | None = None
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    def operating_point(self, name: str | None = None) -> OperatingPoint:
        """The operating point of this name; None means the default one.

        Raises:
            UsageError: there is none of this name; the message lists those there are.
        """
        wanted = self.default_operating_point if name is None else name
        for point in self.operating_points:
            if point.name == wanted:
                return point
        known = ", ".join(point.name for point in self.operating_points)
        raise UsageError(f"the bundle has no operating point {wanted!r}; it has {known}")

    def role_of(self, file: str) -> Role:
        """What a file is for, as the rest of the manifest refers to it; ``"evidence"`` where nothing does."""
        if any(file in model.model_files for model in self.models.values()):
            return "model"
        if file == self.localiser:
            return "localiser"
        if file == self.golden.frame:
            return "golden"
        return "model-card" if file == self.model_card else "evidence"

    def to_bytes(self) -> bytes:
        """The manifest as the bytes of ``manifest.json``: UTF-8, indented, keys in a fixed order.

        Raises:
            ValueError: ``gate``, ``data_use`` or ``evidence`` holds a number that is not finite.
        """
        return (json.dumps(self._to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()

    def _to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "created": self.created,
            "cxr_edge_version": self.cxr_edge_version,
            "released": self.released,
            "files": {name: entry.to_json() for name, entry in self.files.items()},
            "models": {precision: model.to_json() for precision, model in self.models.items()},
            "default_precision": dict(self.default_precision),
            "outputs": list(self.outputs),
            "preprocess": self.preprocess.to_json(),
            **({} if self.localiser is None else {"localiser": self.localiser}),
            "gate": dict(self.gate),
            "temperature": self.temperature.value,
            "operating_points": [point.to_json() for point in self.operating_points],
            "default_operating_point": self.default_operating_point,
            "golden": self.golden.to_json(),
            "model_card": self.model_card,
            "evidence": dict(self.evidence),
            "data_use": dict(self.data_use),
        }
