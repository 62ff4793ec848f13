"""``predictions.csv`` of a member: its logits of the images that it did not see, with what is true of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxr_edge.atomic import write_atomically
from cxr_edge.labels import LabelledImage

__all__ = ["PREDICTIONS", "write_predictions"]

PREDICTIONS = "predictions.csv"


def write_predictions(
    path: Path,
    images: Sequence[LabelledImage],
    logits: NDArray[np.float32],
    targets: NDArray[np.float32],
    outputs: Sequence[str],
) -> None:
    """One line per held-out image: file, patient, fold, then target and logit of each output at full precision.

    A patient stands as ``dataset/id``: patient 61 of one hospital is not patient 61 of another.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{kind}_{name}" for name in outputs for kind in ("target", "logit")]
    writer.writerow(["file", "patient_id", "fold", *columns])
    for image, row, truth in zip(images, logits, targets, strict=True):
        pairs = [value for target, logit in zip(truth, row, strict=True) for value in (int(target), repr(float(logit)))]
        writer.writerow([image.path.name, "/".join(image.patient), image.fold or "", *pairs])
    write_atomically(path, text.getvalue().encode())
