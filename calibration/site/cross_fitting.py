"""Cross-fitting: each image gets the temperature and the thresholds that the other patients' images give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.probability import best_temperature
from calibration.site.rules import PointRule
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import Predictions
from cxr_edge.evaluation.patients import patient_index

__all__ = ["FOLDS", "CrossFit", "cross_fit", "patient_folds"]

FOLDS = 5
SEED = 0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CrossFit:
    """What each of n images is judged by, fitted without its patient.

    Attributes:
        fold: ``[n]`` number of the fold that the image lies in.
        temperature: ``[n]``.
        thresholds: ``[n]`` on the raw logit, by the name of the operating point.
    """

    fold: NDArray[np.intp]
    temperature: Floats
    thresholds: Mapping[str, Floats]

    def calibrated(self, predictions: Predictions) -> Predictions:
        """The predictions with calibrated logits: divided by the cross-fitted temperatures."""
        scaled = predictions.logits / self.temperature
        return Predictions(predictions.labels, scaled, predictions.patients, predictions.columns)

    def decisions(self, predictions: Predictions, name: str) -> NDArray[np.bool_]:
        """Which images the cross-fitted thresholds of an operating point call abnormal, ``[n]``."""
        called: NDArray[np.bool_] = predictions.logits >= self.thresholds[name]
        return called

    def fold_temperatures(self) -> tuple[float, ...]:
        """One temperature a fold: their spread shows how much the fit depends on the sample."""
        return tuple(float(self.temperature[self.fold == fold][0]) for fold in np.unique(self.fold))


def cross_fit(predictions: Predictions, rules: Sequence[PointRule]) -> CrossFit:
    """Temperature and thresholds of every image from the other folds.

    Args:
        predictions: labels, raw logits, patients.
        rules: operating points to fit.

    Raises:
        DatasetError: a class with fewer patients than folds.
    """
    fold = patient_folds(predictions)
    temperature = np.empty(predictions.images)
    thresholds = {rule.name: np.empty(predictions.images) for rule in rules}
    for number in range(FOLDS):
        inside = fold == number
        fitting = predictions.chosen(~inside)
        temperature[inside] = best_temperature(fitting).value
        for rule in rules:
            thresholds[rule.name][inside] = rule.threshold(fitting)
    return CrossFit(fold, temperature, thresholds)


def patient_folds(predictions: Predictions) -> NDArray[np.intp]:
    """The fold of each image, ``[n]``: whole patients, dealt out by a seeded shuffle.

    Patients with an abnormal image and the others are dealt separately, so that every fold has its share of both.

    Raises:
        DatasetError: a class with images of fewer patients than folds.
    """
    patient = patient_index(predictions.patients, predictions.images)
    abnormal = predictions.labels == 1
    _check_patients(patient, abnormal)
    ill = np.bincount(patient, weights=abnormal) > 0
    rng = np.random.default_rng(SEED)
    fold_of_patient = np.empty(ill.size, dtype=np.intp)
    start = 0
    for members in (np.flatnonzero(ill), np.flatnonzero(~ill)):
        # The second deal goes on where the first one ended, so that folds differ by one patient at most.
        fold_of_patient[rng.permutation(members)] = (start + np.arange(members.size)) % FOLDS
        start += members.size
    return fold_of_patient[patient]


def _check_patients(patient: NDArray[np.intp], abnormal: NDArray[np.bool_]) -> None:
    for name, chosen in (("abnormal", abnormal), ("normal", ~abnormal)):
        patients = np.unique(patient[chosen]).size
        if patients < FOLDS:
            raise DatasetError(
                f"the {name} images come from {patients} patient(s); fair figures need at least {FOLDS} of each class"
            )
