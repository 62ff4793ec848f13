"""Means and proportions of images of which several may belong to one patient.

Images of one patient are alike; counting them as independent makes intervals too narrow. Variances here are taken
between patients (Taylor linearisation of a ratio mean), and equal the usual ones where every patient has one image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_edge.errors import DatasetError
from cxr_edge.evaluation.intervals import Z95, clopper_pearson, wilson
from cxr_edge.probability import Interval

__all__ = ["PatientIndex", "mean_interval", "patient_index", "proportion", "variance_of_mean"]

PatientIndex = NDArray[np.intp]


def patient_index(groups: ArrayLike | None, images: int) -> PatientIndex:
    """Each image's patient as a number from 0, ``[images]``; without groups every image is a patient of its own.

    Args:
        groups: one patient id an image (text or numbers), or None.
        images: how many there are.

    Raises:
        DatasetError: another number of ids than of images.
    """
    if groups is None:
        return np.arange(images, dtype=np.intp)
    ids = np.asarray(groups)
    if ids.shape != (images,):
        raise DatasetError(f"{images} images but patient ids of shape {ids.shape}: give one id an image")
    return np.unique(ids, return_inverse=True)[1].reshape(-1)


def variance_of_mean(values: ArrayLike, patients: PatientIndex) -> float:
    """Sampling variance of the mean of ``values`` over all images, from the differences between patients.

    ``k / (k - 1) * sum_i (sum_i - m_i * mean)^2 / n^2`` over k patients with m_i of the n images (Cochran 1977, 6.3).
    NaN when there is only one patient.
    """
    numbers = np.asarray(values, dtype=np.float64)
    present = np.unique(patients, return_inverse=True)[1].reshape(-1)
    residuals = np.bincount(present, weights=numbers - numbers.mean())
    k = residuals.size
    return float(k / (k - 1) * np.sum(residuals**2) / numbers.size**2) if k > 1 else float("nan")


def mean_interval(values: ArrayLike, patients: PatientIndex, low: float, high: float) -> Interval:
    """Mean of ``values`` with its normal-theory interval, cut to the range ``[low, high]`` that the mean can have.

    With a single patient nothing is known about the spread and the interval is the whole range.
    """
    numbers = np.asarray(values, dtype=np.float64)
    mean = float(numbers.mean())
    half = Z95 * float(np.sqrt(variance_of_mean(numbers, patients)))
    if not np.isfinite(half):
        return Interval(mean, low, high, "none: one patient")
    method = "normal" if independent(patients) else "normal, between patients"
    return Interval(mean, max(low, mean - half), min(high, mean + half), method)


def proportion(outcomes: ArrayLike, patients: PatientIndex) -> Interval | None:
    """Share of true outcomes with its interval; None when there are no outcomes.

    Wilson's where every patient has one image. Otherwise the interval of Korn and Graubard (Survey Methodology 1998):
    Clopper-Pearson with the number of images divided by the design effect, never above the number of images.

    Args:
        outcomes: ``[n]`` true or false.
        patients: ``[n]`` from `patient_index`.
    """
    flags = np.asarray(outcomes, dtype=bool)
    if flags.size == 0:
        return None
    if independent(patients):
        return wilson(int(flags.sum()), flags.size)
    share = float(flags.mean())
    effective = _effective_images(flags, patients)
    exact = clopper_pearson(share * effective, effective)
    return Interval(share, exact.low, exact.high, f"Clopper-Pearson, {effective:.1f} effective images")


def independent(patients: PatientIndex) -> bool:
    """True when no patient has more than one image."""
    return bool(np.unique(patients).size == patients.size)


def _effective_images(flags: NDArray[np.bool_], patients: PatientIndex) -> float:
    """Independent images that would give the mean of ``flags`` the variance it has, 1 to n."""
    images = np.unique(patients, return_counts=True)[1]
    share, variance = float(flags.mean()), variance_of_mean(flags, patients)
    if share in (0.0, 1.0) or images.size == 1:
        # No spread to estimate from: take the images of a patient as perfectly alike (Kish 1965).
        effective = float(flags.size**2 / np.sum(images**2))
    else:
        effective = share * (1 - share) / variance if variance > 0 else float(flags.size)
    return min(max(effective, 1.0), float(flags.size))
