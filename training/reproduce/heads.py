"""Heads on frozen features: fitted in milliseconds to seconds, their strength of regularisation chosen inside."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_edge.errors import DatasetError
from training.reproduce.cells import Head
from training.reproduce.hidden_head import HIDDEN_UNITS

__all__ = ["FittedHead", "fitted_head"]

STRENGTHS: dict[Head, tuple[str, tuple[float, ...]]] = {
    "linear": ("logisticregression__C", (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)),
    "hidden": ("mlpclassifier__alpha", (1.0, 10.0, 100.0)),
}
"""What is chosen for each head, and from which values."""

INNER_PARTS = 4
"""Parts of the training images that predict each other to choose a strength."""

HIDDEN_PASSES = 60
"""Most iterations of L-BFGS for the hidden layer; it need not converge, for stopping early regularises, too."""

LEAST = 1e-12
"""Probabilities are kept so far from 0 and 1, where they would have no logit."""


@dataclass(frozen=True, slots=True)
class FittedHead:
    """What a head says about held-out images.

    Attributes:
        logits: ``[n]`` float64.
        setting: the strength that was chosen, by its name.
    """

    logits: NDArray[np.float64]
    setting: dict[str, float]


def fitted_head(
    head: Head,
    training: NDArray[np.float32],
    labels: NDArray[np.int64],
    patients: Sequence[str],
    held_out: NDArray[np.float32],
    seed: int,
) -> FittedHead:
    """Fit a head to the training images' features and predict the others.

    The strength is the one with the least cross-entropy when parts of the *training* images predict each other.

    Args:
        head: linear, or with one hidden layer.
        training: ``[t, channels]``.
        labels: ``[t]`` 0 or 1.
        patients: ``[t]``; no patient is in two inner parts.
        held_out: ``[n, channels]``.
        seed: of the inner parts and the hidden layer's weights.

    Raises:
        DatasetError: too few training images of a class to have some in every inner part.
    """
    rarest = int(np.bincount(labels, minlength=2).min())
    if rarest < INNER_PARTS:
        raise DatasetError(f"the rarer class has {rarest} training images; at least {INNER_PARTS} are needed")
    name, values = STRENGTHS[head]
    inner = StratifiedGroupKFold(INNER_PARTS, shuffle=True, random_state=seed)
    search = GridSearchCV(pipeline(head, seed), {name: values}, scoring="neg_log_loss", cv=inner)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # see HIDDEN_PASSES
        search.fit(training, labels, groups=list(patients))
    abnormal = np.clip(search.predict_proba(held_out)[:, 1].astype(np.float64), LEAST, 1 - LEAST)
    return FittedHead(np.log(abnormal / (1 - abnormal)), {name.partition("__")[2]: search.best_params_[name]})


def pipeline(head: Head, seed: int) -> Any:
    """Features brought to one scale, then the classifier."""
    if head == "linear":
        return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    layer = MLPClassifier((HIDDEN_UNITS,), solver="lbfgs", max_iter=HIDDEN_PASSES, random_state=seed)
    return make_pipeline(StandardScaler(), layer)
