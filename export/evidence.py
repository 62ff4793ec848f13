"""What a bundle's manifest says for itself: figures of the bundle, of the recipe, and of its fast models' parity."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr_edge.classifier import Classifier
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import Evaluation, evaluate
from cxr_edge.evaluation.measure import measure
from cxr_edge.evaluation.parity import ParityReport, report_json, summary_json
from cxr_edge.labels import LabelFile
from export.artefacts import Artefacts
from export.draft import Draft
from export.external import ExternalFigures
from export.pooled_parity import PooledParity

__all__ = ["PARITY_FILE", "evidence", "measured", "parity_evidence", "parity_file"]

PARITY_FILE = "parity.json"
"""The whole parity record, in the bundle; images are called by hashes there."""


def measured(bundle: Path, labels: LabelFile, subgroups: Sequence[str]) -> Evaluation:
    """Figures of a bundle's default precision on ONNX Runtime, on images that it has not seen.

    Args:
        bundle: its directory.
        labels: the images.
        subgroups: columns to tabulate by.

    Raises:
        DatasetError: an image that the gate refused or that could not be read: a card must not leave images out.
    """
    with Classifier.open(bundle, engine="onnxruntime") as classifier:
        result = measure(classifier, labels)
        left_out = len(result.refused) + len(result.failed)
        if left_out:
            raise DatasetError(f"{left_out} of {len(labels.images)} release images were not classified")
        return evaluate(
            result.predictions, classifier.bundle.manifest.temperature, classifier.operating_point, subgroups
        )


def evidence(
    draft: Draft,
    artefacts: Artefacts,
    evaluation: Evaluation,
    precision: str,
    parity: Mapping[str, Any] | None,
    pooled: PooledParity | None = None,
    external: Sequence[ExternalFigures] = (),
) -> dict[str, Any]:
    """Bundle figures, recipe figures and figures elsewhere, never mixed, and how the fast models compare.

    Args:
        draft: gives recipe, temperature and equivalence.
        artefacts: how the precisions were made.
        evaluation: of the bundle on its release fold.
        precision: that was evaluated.
        parity: from `parity_evidence`; None where there is nothing but FP32.
        pooled: over the whole cross-validation, where it was measured.
        external: of the bundle on data of other origin.
    """
    ran = {"precision": precision, "engine": "onnxruntime"}
    record = {
        "bundle_on_release_fold": {**evaluation.to_json(), **ran},
        "bundle_on_external_data": [{**figures.to_json(), **ran} for figures in external],
        "recipe_cross_validated": draft.recipe.to_json(),
        "temperature_out_of_fold": draft.fit.to_json(),
        "onnx_against_torch": {
            "images": draft.equivalence.images,
            "largest_logit_difference": draft.equivalence.logit,
            "largest_cam_difference": draft.equivalence.cam,
        },
        "precisions": dict(artefacts.record),
        "parity": parity,
        "int8_parity_cross_validated": pooled.to_json() if pooled else None,
    }
    plain: dict[str, Any] = finite_only(record)
    return plain


def parity_file(report: ParityReport) -> bytes:
    """The whole parity record as a file of the bundle: JSON, images by the hashes that ``data_use`` calls them by.

    Raises:
        DatasetError: an image cannot be read any more.
    """
    record = finite_only(without_draft(report_json(report, named=False)))
    return (json.dumps(record, allow_nan=False) + "\n").encode()


def parity_evidence(report: ParityReport, file: bytes) -> dict[str, Any]:
    """The record without its images, and which file holds them.

    Args:
        report: the measurement.
        file: what `parity_file` gave for it.
    """
    summary = without_draft(summary_json(report))
    return {**summary, "record": {"file": PARITY_FILE, "sha256": hashlib.sha256(file).hexdigest()}}


def without_draft(record: dict[str, Any]) -> dict[str, Any]:
    """The record without the manifest hash and the mark of the draft: the files that were measured are in it."""
    return {key: value for key, value in record.items() if key != "bundle"}


def finite_only(value: Any) -> Any:
    """The same JSON value with NaN and infinity, which JSON cannot hold, as null."""
    if isinstance(value, Mapping):
        return {key: finite_only(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite_only(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
