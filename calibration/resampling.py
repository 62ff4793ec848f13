"""Bootstrap samples of whole patients, drawn by class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_edge.evaluation import Predictions
from cxr_edge.evaluation.patients import PatientIndex, patient_index

__all__ = ["PatientBootstrap"]

REPLICATES = 1000


@dataclass(frozen=True, slots=True)
class PatientBootstrap:
    """Seeded samples of patients with replacement, each patient with all images.

    Patients with an abnormal image and the others are drawn separately, as many of each as there are, so that a
    sample nearly always has both classes; the rare one that has not is drawn again.

    Attributes:
        patient: ``[n]`` index of each image's patient.
        abnormal: ``[n]`` true where the image is abnormal.
        strata: patients of each stratum.
        replicates: samples.
        seed: of numpy's default generator.
    """

    patient: PatientIndex
    abnormal: NDArray[np.bool_]
    strata: tuple[NDArray[np.intp], ...]
    replicates: int
    seed: int

    @classmethod
    def of(cls, predictions: Predictions, seed: int) -> PatientBootstrap:
        """The resampling of these predictions, which must hold both classes."""
        patient, abnormal = patient_index(predictions.patients, predictions.images), predictions.labels == 1
        ill = np.bincount(patient, weights=abnormal) > 0
        strata = tuple(members for members in (np.flatnonzero(ill), np.flatnonzero(~ill)) if members.size)
        return cls(patient, abnormal, strata, REPLICATES, seed)

    def samples(self, stream: int) -> Iterator[NDArray[np.float64]]:
        """How often each image occurs, ``[n]`` float64, in each of ``replicates`` samples.

        Args:
            stream: samples of different streams are independent of each other.
        """
        rng = np.random.default_rng((self.seed, stream))
        for _ in range(self.replicates):
            weights = self._drawn(rng)
            while not (weights[self.abnormal].any() and weights[~self.abnormal].any()):
                weights = self._drawn(rng)
            yield weights

    def _drawn(self, rng: np.random.Generator) -> NDArray[np.float64]:
        counts = np.zeros(int(self.patient.max()) + 1)
        for members in self.strata:
            drawn = np.bincount(rng.integers(members.size, size=members.size), minlength=members.size)
            counts[members] = drawn
        return np.asarray(counts[self.patient], dtype=np.float64)
