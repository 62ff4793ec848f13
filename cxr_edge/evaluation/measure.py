"""Running a classifier over labelled images: the predictions that an evaluation of a bundle is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cxr_edge.classifier import Classifier
from cxr_edge.data_use import (
    SEEN_STAMP,
    UNKNOWN_ORIGIN,
    UNKNOWN_ORIGIN_STAMP,
    DataUse,
    assert_unseen,
    footprint,
)
from cxr_edge.errors import DatasetError, SeenDataError
from cxr_edge.evaluation.predictions import Predictions
from cxr_edge.labels import LabelFile
from cxr_edge.result import Failure

__all__ = ["Measurement", "measure"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a classifier made of a label file.

    Attributes:
        predictions: of the images that were classified.
        refused: paths that the input gate refused; a device would give no probability for them.
        failed: paths that could not be read, with the reason.
        stamp: the caveat when images had been seen in training and that was allowed, or may have been, else None.
    """

    predictions: Predictions
    refused: tuple[str, ...]
    failed: tuple[tuple[str, Failure], ...]
    stamp: str | None


def measure(
    classifier: Classifier,
    label_file: LabelFile,
    *,
    allow_seen: bool = False,
    on_image: Callable[[int], None] = lambda done: None,
) -> Measurement:
    """Predictions of a bundle for every labelled image that it has not seen.

    Args:
        classifier: an open classifier.
        label_file: images with labels.
        allow_seen: measure although the bundle has seen some of the images; the measurement is stamped.
        on_image: called with the number of images done.

    Raises:
        SeenDataError: images or patients were seen in training and that is not allowed.
        DatasetError: an image without label, or none that could be classified.
    """
    labels = label_file.labels()
    data_use = DataUse.from_json(dict(classifier.bundle.manifest.data_use))
    stamp = UNKNOWN_ORIGIN_STAMP if UNKNOWN_ORIGIN in data_use.roles else None
    try:
        assert_unseen(footprint(label_file), data_use)
    except SeenDataError:
        if not allow_seen:
            raise
        stamp = SEEN_STAMP
    logits, refused, failed = [], [], []
    for done, result in enumerate(classifier.classify_many(image.path for image in label_file.images), start=1):
        on_image(done)
        logits.append(np.nan if result.logit is None else result.logit)
        if result.status == "refused":
            refused.append(str(result.path))
        elif result.failure:
            failed.append((str(result.path), result.failure))
    classified = np.isfinite(logits)
    if not classified.any():
        reason = failed[0][1].message if failed else "the input gate refused them"
        raise DatasetError(f"none of {len(labels)} images could be classified: {reason}")
    images = [image for image, ok in zip(label_file.images, classified, strict=True) if ok]
    chosen = replace(label_file, images=tuple(images))
    columns = {name: chosen.column(name) for name in images[0].columns}
    predictions = Predictions.of(
        labels[classified], np.array(logits)[classified], patients=chosen.patients(), columns=columns
    )
    return Measurement(predictions, tuple(refused), tuple(failed), stamp)
