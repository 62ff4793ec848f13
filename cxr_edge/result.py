"""What a classification returns: probability and decision, or why there is none."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr_edge.engines.base import EngineDescription
from cxr_edge.errors import CxrEdgeError, UsageError
from cxr_edge.gate import GateReport
from cxr_edge.heatmap import Heatmap
from cxr_edge.probability import Label
from cxr_edge.records import Box, Radiograph, Window

__all__ = ["BundleIdentity", "Evidence", "Failure", "Result", "Timings"]


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall time of each stage in milliseconds, by a monotonic clock; None where a stage did not run."""

    decode: float | None = None
    gate: float | None = None
    localise: float | None = None
    preprocess: float | None = None
    infer: float | None = None
    total: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """The stages by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class BundleIdentity:
    """Which bundle decided: its name, version and the SHA-256 of its manifest (which lists every file's own)."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an input has no result: the error's code, the exit code it stands for, and a message without patient data."""

    code: str
    exit_code: int
    message: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """The failure that an error describes; one that this library did not foresee is named by its type alone.

        Its message is left out, since it may quote the file's contents.
        """
        if not isinstance(error, CxrEdgeError):
            kind = type(error).__name__
            error = CxrEdgeError(f"unexpected {kind}, which is a bug in cxr-edge: Classifier.classify shows where")
        return cls(error.code, error.exit_code, str(error))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the heatmap is drawn from: the class-activation map ``[h, w]`` in logits and the box that it covers."""

    radiograph: Radiograph
    cam: NDArray[np.float32]
    box: Box

    def heatmap(self, threshold: float) -> Heatmap:
        """The heatmap, neutral at the logit threshold that decided."""
        return Heatmap(self.radiograph, self.cam, self.box, neutral=threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome for one image.

    A result with status ``"ok"`` keeps the decoded frame, tens of megabytes, so that its heatmap can be drawn later;
    collect `without_evidence` where there are many.

    Attributes:
        status: ``"ok"``, ``"refused"`` by the input gate, or ``"error"``; only ``"ok"`` has a probability and a label.
        probability: calibrated probability of "abnormal", 0-1.
        label: ``"abnormal"`` exactly when ``logit >= threshold``.
        logit: uncalibrated output of the network; the mean of the class-activation map.
        threshold: logit threshold of the operating point.
        operating_point: name of the operating point that decided.
        engine: engine, precision and device that really ran.
        bundle: which bundle decided.
        released: false when the bundle was written without passing its checks.
        gate: what the input gate found; None when it was switched off.
        variant: which part of the frame the network saw, a `PreprocessSpec.variant`; ``"body"`` too where no lungs were
            found and the bundle falls back.
        lungs_found: whether there are lungs; None where the bundle doesn't look for them.
        evidence_on_lungs: share of the evidence for the decision that lies on the lungs, 0-1, by
            `cxr_edge.evidence_share.share_on_lungs`; None where no lungs were looked for or found.
        box: what the network saw, in pixels of the stored frame; None for the whole frame, and where it saw nothing.
        window: display window that was applied, in stored units; None when nothing was decoded.
        window_rule: where the window came from, a `Radiograph.window_rule`.
        warnings: what a reader should know, one sentence each.
        timings: wall time per stage.
        path: the input as it was named, None for arrays and bytes.
        frame: frame number within a multi-frame file, or None.
        input_sha256: hash of the input file's bytes, on request.
        failure: why there is no result, when the status is ``"error"``.
        evidence: what the heatmap is drawn from.
    """

    status: Literal["ok", "refused", "error"]
    bundle: BundleIdentity
    released: bool
    operating_point: str
    threshold: float
    engine: EngineDescription
    variant: str
    lungs_found: bool | None = None
    evidence_on_lungs: float | None = None
    box: Box | None = None
    timings: Timings = field(default_factory=Timings)
    probability: float | None = None
    label: Label | None = None
    logit: float | None = None
    gate: GateReport | None = None
    window: Window | None = None
    window_rule: str | None = None
    warnings: tuple[str, ...] = ()
    path: str | None = None
    frame: int | None = None
    input_sha256: str | None = None
    failure: Failure | None = None
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    @property
    def heatmap(self) -> Heatmap:
        """The heatmap, drawn when it is asked for; neutral at the threshold that decided.

        Raises:
            UsageError: the image was refused or failed, so there is no map.
        """
        if self.evidence is None:
            raise UsageError(f"a result with status {self.status!r} has no heatmap")
        return self.evidence.heatmap(self.threshold)

    def without_evidence(self) -> Result:
        """The same result without the pixels and the map that its heatmap would be drawn from."""
        return replace(self, evidence=None)

    def to_json(self, heatmap: str | None = None) -> dict[str, Any]:
        """The object that ``cxr-edge classify --json`` prints, one a line; fields that don't apply are null.

        JSON is UTF-8: in a path that is not, each byte that does not fit is spelled out, 0xFF as a backslash and
        ``udcff``.

        Args:
            heatmap: path of the heatmap picture that was written, if one was.
        """
        return {
            "path": _spelled_out(self.path),
            "frame": self.frame,
            "status": self.status,
            "probability": self.probability,
            "label": self.label,
            "logit": self.logit,
            "threshold": self.threshold,
            "operating_point": self.operating_point,
            "engine": self.engine.name,
            "precision": self.engine.precision,
            "device": self.engine.device,
            "bundle": {"name": self.bundle.name, "version": self.bundle.version, "sha256": self.bundle.sha256},
            "released": self.released,
            "gate": self.gate.to_json() if self.gate else None,
            "window": {"lo": self.window.lo, "hi": self.window.hi, "rule": self.window_rule} if self.window else None,
            "lungs": {
                "found": self.lungs_found,
                "box": asdict(self.box) if self.box else None,
                "variant": self.variant,
                "evidence_on_lungs": self.evidence_on_lungs,
            },
            "heatmap": _spelled_out(heatmap),
            "warnings": list(self.warnings),
            "input_sha256": self.input_sha256,
            "timings_ms": self.timings.to_json(),
            "error": (
                {
                    "code": self.failure.code,
                    "exit_code": self.failure.exit_code,
                    "message": self.failure.message,
                }
                if self.failure
                else None
            ),
        }


def _spelled_out(path: str | None) -> str | None:
    """The path in valid Unicode: half surrogate pairs, Python's stand-ins for bytes that are not UTF-8, as escapes."""
    return None if path is None else path.encode("utf-8", "backslashreplace").decode()
