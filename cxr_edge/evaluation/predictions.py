"""What an evaluation is made from: labels and logits of the same images, with what is known about each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_edge.errors import DatasetError, UsageError

__all__ = ["Predictions"]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Labels and logits of n images in the same order.

    Attributes:
        labels: ``[n]`` int64, 0 normal, 1 abnormal.
        logits: ``[n]`` float64, raw, before the temperature.
        patients: ``[n]`` patient ids as text; None when every image has a patient of its own.
        columns: further columns by name, n cells each, for subgroups.
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    patients: tuple[str, ...] | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        labels: ArrayLike,
        logits: ArrayLike,
        patients: ArrayLike | None = None,
        columns: Mapping[str, ArrayLike] | None = None,
    ) -> Predictions:
        """Checked predictions from whatever holds the numbers.

        Args:
            labels: ``[n]`` 0 or 1.
            logits: ``[n]`` finite.
            patients: ``[n]`` patient ids, or None.
            columns: ``[n]`` cells by column name; numbers become text.

        Raises:
            DatasetError: no images, lengths that differ, another label than 0 and 1, a logit that is not finite.
        """
        truth, scores = np.asarray(labels), np.asarray(logits, dtype=np.float64)
        _check(truth, scores)
        cells = {name: _texts(values, name, truth.size) for name, values in (columns or {}).items()}
        ids = None if patients is None else _texts(patients, "patient", truth.size)
        return cls(truth.astype(np.int64), scores, ids, cells)

    @property
    def images(self) -> int:
        """How many images there are."""
        return int(self.labels.size)

    @property
    def patient_count(self) -> int:
        """How many patients they come from."""
        return self.images if self.patients is None else len(set(self.patients))

    def column(self, name: str) -> tuple[str, ...]:
        """The n cells of one column.

        Raises:
            UsageError: there is no such column; the message lists those there are.
        """
        if name not in self.columns:
            raise UsageError(
                f"no column {name!r} for subgroups; there are: {', '.join(sorted(self.columns)) or 'none'}"
            )
        return self.columns[name]

    def chosen(self, mask: NDArray[np.bool_]) -> Predictions:
        """The predictions where ``mask`` ``[n]`` is true; at least one must be."""
        where = np.flatnonzero(mask)
        patients = None if self.patients is None else tuple(self.patients[i] for i in where)
        columns = {name: tuple(cells[i] for i in where) for name, cells in self.columns.items()}
        return Predictions(self.labels[where], self.logits[where], patients, columns)


def _check(labels: NDArray[np.generic], logits: NDArray[np.float64]) -> None:
    if labels.ndim != 1 or labels.size == 0 or labels.shape != logits.shape:
        raise DatasetError(
            f"labels have shape {labels.shape} and logits {logits.shape}: need [n] of each, n at least 1"
        )
    if not np.isin(labels, (0, 1)).all():
        raise DatasetError("labels hold other values than 0 (normal) and 1 (abnormal)")
    bad = int(np.count_nonzero(~np.isfinite(logits)))
    if bad:
        raise DatasetError(
            f"{bad} of {logits.size} logits are not finite; an evaluation needs a number for every image"
        )


def _texts(values: ArrayLike, name: str, images: int) -> tuple[str, ...]:
    cells = tuple(str(cell) for cell in np.asarray(values).tolist())
    if len(cells) != images:
        raise DatasetError(f"column {name!r} has {len(cells)} cells for {images} images")
    return cells
