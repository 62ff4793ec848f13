"""What one model made of a set of images: the logits and maps that parity is measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_edge.errors import DatasetError

__all__ = ["Outputs"]


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """Logits and class-activation maps of N images, of the output that operating points apply to.

    Attributes:
        logits: ``[N]`` float64, raw, before the temperature.
        cams: ``[N, h, w]`` float32, in logits; a logit is its map's mean.
    """

    logits: NDArray[np.float64]
    cams: NDArray[np.float32]

    @classmethod
    def of(cls, logits: ArrayLike, cams: ArrayLike) -> Outputs:
        """Checked outputs from whatever holds the numbers.

        Args:
            logits: ``[N]`` finite.
            cams: ``[N, h, w]`` finite.

        Raises:
            DatasetError: no images, shapes that do not fit together, or a number that is not finite.
        """
        values, maps = np.asarray(logits, dtype=np.float64), np.asarray(cams, dtype=np.float32)
        if values.ndim != 1 or values.size == 0 or maps.ndim != 3 or len(maps) != values.size or maps[0].size == 0:
            raise DatasetError(
                f"logits have shape {values.shape} and maps {maps.shape}: need [N] and [N, h, w], N >= 1"
            )
        if not (np.isfinite(values).all() and np.isfinite(maps).all()):
            raise DatasetError("logits or maps hold NaN or infinity; parity needs a number for every image")
        return cls(values, maps)

    @property
    def images(self) -> int:
        """How many images there are."""
        return int(self.logits.size)

    def chosen(self, mask: NDArray[np.bool_]) -> Outputs:
        """The outputs where ``mask`` ``[N]`` is true."""
        return Outputs(self.logits[mask], self.cams[mask])
