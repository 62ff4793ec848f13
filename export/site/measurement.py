"""What the bundle's models make of the site's images: FP32 logits to fit on, and every engine beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cxr_edge.bundle import Bundle
from cxr_edge.classifier import Classifier
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import Predictions
from cxr_edge.evaluation.measure import measure
from cxr_edge.evaluation.parity import ParityReport, joined, measure_parity
from cxr_edge.evaluation.parity.candidates import REFERENCE, select_candidates
from cxr_edge.labels import LabelFile

__all__ = ["SiteMeasurement", "measure_site"]


@dataclass(frozen=True, slots=True, eq=False)
class SiteMeasurement:
    """Predictions of the FP32 model on ONNX Runtime, and how the other engines and precisions compare.

    Attributes:
        images: those that were classified.
        predictions: their labels, raw logits and patients, in the same order.
        refused: names of images that the input gate refused, with its reason.
        failed: names of images that could not be read, with the reason.
        stamp: a caveat that every output must carry, or None.
        parity: None where there is nothing to compare with FP32 here.
    """

    images: LabelFile
    predictions: Predictions
    refused: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str], ...]
    stamp: str | None
    parity: ParityReport | None


def measure_site(
    bundle: Bundle,
    labels: LabelFile,
    *,
    threads: int | None = None,
    allow_seen: bool = False,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> SiteMeasurement:
    """Classify the site's images with FP32 and, in the same pass, with whatever else runs here.

    Args:
        bundle: that the weights come from.
        labels: the site's images, all labelled.
        threads: of each engine.
        allow_seen: measure although the bundle has seen some of the images.
        on_image: called with the number of images done and of all.

    Raises:
        SeenDataError: the bundle has seen some of them, and that is not allowed.
        DatasetError: a label is missing, a file cannot be opened, or no image could be classified.
        EngineError: an engine fails.
    """
    labels.labels()
    if select_candidates(bundle).chosen:
        report = measure_parity(bundle, joined([labels]), threads=threads, allow_seen=allow_seen, on_image=on_image)
        return _from_parity(labels, report)
    return _with_fp32_alone(bundle, labels, threads, allow_seen, on_image)


def _from_parity(labels: LabelFile, report: ParityReport) -> SiteMeasurement:
    chosen = replace(labels, images=report.images)
    return SiteMeasurement(
        images=chosen,
        predictions=Predictions.of(chosen.labels(), report.reference_outputs.logits, chosen.patients()),
        refused=tuple((left.name, left.reason) for left in report.refused),
        failed=tuple((left.name, left.reason) for left in report.failed),
        stamp=report.stamp,
        parity=report,
    )


def _with_fp32_alone(
    bundle: Bundle,
    labels: LabelFile,
    threads: int | None,
    allow_seen: bool,
    on_image: Callable[[int, int], None],
) -> SiteMeasurement:
    engine, precision = REFERENCE
    total = len(labels.images)
    with Classifier.open(bundle.path, engine=engine, precision=precision, threads=threads) as classifier:
        found = measure(classifier, labels, allow_seen=allow_seen, on_image=lambda done: on_image(done, total))
    left_out = {*found.refused, *(path for path, _ in found.failed)}
    kept = tuple(image for image in labels.images if str(image.path) not in left_out)
    if len(kept) != found.predictions.images:
        raise DatasetError("the label file lists images whose results cannot be told apart; list each file once")
    return SiteMeasurement(
        images=replace(labels, images=kept),
        predictions=found.predictions,
        refused=tuple((path, "refused by the input gate") for path in found.refused),
        failed=tuple((path, failure.message) for path, failure in found.failed),
        stamp=found.stamp,
        parity=None,
    )
