"""The out-of-fold table of a finished cross-validation: every image's logit from the model that never saw it.

Beside each logit stand a temperature and a threshold that were fitted on the *other* development folds, so that
figures made from the table were chosen on nothing that they report. The release fold, if there is one, fits nothing.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from calibration.operating_point import youden_point
from calibration.probability import fit_temperature
from cxr_edge.atomic import write_atomically
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.recipe import OUT_OF_FOLD
from training.held_out import PREDICTIONS
from training.run import Run

__all__ = ["write_out_of_fold"]


@dataclass(frozen=True, slots=True)
class HeldOutImage:
    """One line of a member's ``predictions.csv``."""

    file: str
    patient: str
    fold: str
    label: int
    logit: float


def write_out_of_fold(run: Run) -> None:
    """Write ``out_of_fold.csv`` into the run's folder.

    Args:
        run: a cross-validation with every member finished.

    Raises:
        DatasetError: fewer than two development folds, so that nothing is left to fit on.
    """
    images = [image for member in sorted(run.members) for image in held_out_images(run, member)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "patient", "fold", "label", "logit", "temperature", "logit_threshold"])
    for fold in sorted({image.fold for image in images}):
        fitting = [image for image in images if image.fold not in (fold, run.release_fold)]
        if not fitting:
            raise DatasetError("cross-fitting needs at least two development folds")
        columns = [i.label for i in fitting], [i.logit for i in fitting], [i.patient for i in fitting]
        temperature = fit_temperature(*columns).temperature.value
        threshold = youden_point(*columns).logit_threshold
        for image in (image for image in images if image.fold == fold):
            writer.writerow(
                [image.file, image.patient, fold, image.label, repr(image.logit), repr(temperature), repr(threshold)]
            )
    write_atomically(run.directory / OUT_OF_FOLD, text.getvalue().encode())


def held_out_images(run: Run, member: str) -> list[HeldOutImage]:
    """What a member predicted."""
    with (run.directory / member / PREDICTIONS).open(newline="") as file:
        return [
            HeldOutImage(
                file=row["file"],
                patient=row["patient_id"],
                fold=row["fold"],
                label=int(row["target_abnormal"]),
                logit=float(row["logit_abnormal"]),
            )
            for row in csv.DictReader(file)
        ]
