"""What a study says of a scheme on one runtime, and of the study as a whole, as records that JSON holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cxr_edge.evaluation.parity import Outputs, agreement
from cxr_edge.evaluation.roc import roc_auc
from export.study.images import ParityInputs
from export.study.subject import Subject

__all__ = ["Figures", "SchemeRecord", "StudyHeader", "auc_of", "figures"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Agreement of a scheme with FP32; differences of probabilities are of calibrated ones.

    Attributes:
        auc: of the scheme's logits; None where the images have one class.
        max_probability, p99_probability, mean_probability: of |Δp|.
        rms_logit_share: RMS Δlogit over the standard deviation of FP32's logits.
        mean_logit: mean Δlogit.
        flips: decisions that change at the operating point.
        cam_median_r: median over images of the maps' Pearson correlation.
        cam_same_peak: share of images whose map peaks in the same cell.
    """

    auc: float | None
    max_probability: float
    p99_probability: float
    mean_probability: float
    rms_logit_share: float
    mean_logit: float
    flips: int
    cam_median_r: float
    cam_same_peak: float


@dataclass(frozen=True, slots=True)
class SchemeRecord:
    """One line of a study's record.

    Attributes:
        scheme: its name in the table of schemes.
        title: for people.
        family: ``"plain"`` for the libraries' own ways, ``"ours"``, or ``"half"`` for FP16.
        table: which table it stands in.
        range_images: how many images its ranges came from; 0 where it needs none.
        emulated: whether FP16 was emulated by rounding, see `export.half.emulation`.
        bytes: size of the model file.
        sha256: of the model file.
        runtimes: figures by runtime.
        failures: by runtime, why there are none.
    """

    scheme: str
    title: str
    family: str
    table: str
    range_images: int
    emulated: bool
    bytes: int
    sha256: str
    runtimes: Mapping[str, Figures]
    failures: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal record."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SchemeRecord:
        """The record that `to_json` wrote.

        Raises:
            TypeError: missing or unknown keys.
        """
        runtimes = {name: Figures(**figures) for name, figures in value["runtimes"].items()}
        return cls(**{**value, "runtimes": runtimes})


@dataclass(frozen=True, slots=True)
class StudyHeader:
    """First line of a record: what all schemes have in common. Records of different headers are never mixed.

    Attributes:
        format: version of the record.
        model: name of the model.
        model_sha256: of its FP32 file.
        images: how many unseen images.
        abnormal: how many of them are.
        images_sha256: of their network inputs.
        parity_sources: label files and filters.
        range_source: where range images are chosen from.
        fp32_auc: None where the images have one class.
        logit_spread: standard deviation of FP32's logits.
        temperature: that turned logits into probabilities.
        operating_point: its name and threshold.
        versions: of the libraries that made and ran the models.
    """

    format: int
    model: str
    model_sha256: str
    images: int
    abnormal: int
    images_sha256: str
    parity_sources: tuple[str, ...]
    range_source: str
    fp32_auc: float | None
    logit_spread: float
    temperature: float
    operating_point: str
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal header."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StudyHeader:
        """The header that `to_json` wrote.

        Raises:
            TypeError: missing or unknown keys.
        """
        return cls(**{**value, "parity_sources": tuple(value["parity_sources"])})


def figures(reference: Outputs, candidate: Outputs, images: ParityInputs, subject: Subject) -> Figures:
    """The figures of one scheme on one runtime.

    Args:
        reference: FP32 on ONNX Runtime.
        candidate: the scheme.
        images: what both saw.
        subject: gives temperature and operating point.
    """
    found = agreement(reference, candidate, subject.temperature, subject.operating_point)
    return Figures(
        auc=auc_of(candidate, images),
        max_probability=found.max_probability,
        p99_probability=found.p99_probability,
        mean_probability=found.mean_probability,
        rms_logit_share=found.rms_logit_share,
        mean_logit=found.mean_logit,
        flips=len(found.flips),
        cam_median_r=found.cam_median_r,
        cam_same_peak=found.cam_same_peak,
    )


def auc_of(outputs: Outputs, images: ParityInputs) -> float | None:
    """Area under the ROC curve; None where the images have one class."""
    if len(np.unique(images.labels)) < 2:
        return None
    return roc_auc(images.labels, outputs.logits, images.patients).value
