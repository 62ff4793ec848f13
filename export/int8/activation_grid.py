"""The grids that activations are rounded to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BIASED", "SIGNED", "UNSIGNED", "ActivationGrid"]


@dataclass(frozen=True, slots=True)
class ActivationGrid:
    """Multiples of a power of two, as QuantizeLinear computes them: round half to even, then saturate.

    The scale is a power of two because FP16 holds that exactly (float16(1/127) is off by 6e-5), and because the
    rewrites bring every channel to this one grid anyway.

    Attributes:
        name: of the grid's scale and zero point in a graph.
        dtype: of the stored integers, int8 or uint8.
        scale: value of one step.
        zero_point: the integer that stands for 0.
    """

    name: str
    dtype: type[np.int8] | type[np.uint8]
    scale: float
    zero_point: int = 0

    @property
    def lowest(self) -> float:
        """The smallest value on the grid."""
        return float((np.iinfo(self.dtype).min - self.zero_point) * self.scale)

    def rounded(self, value: NDArray[np.float32]) -> NDArray[np.float32]:
        """The values on the grid."""
        limits = np.iinfo(self.dtype)
        steps = np.rint(value * np.float32(1 / self.scale))
        steps = np.clip(steps, limits.min - self.zero_point, limits.max - self.zero_point)
        return np.asarray(steps * np.float32(self.scale), np.float32)


SIGNED = ActivationGrid("signed", np.int8, 2.0**-7)
"""[-1, 127/128] in 256 steps; what TensorRT takes."""

BIASED = ActivationGrid("biased", np.uint8, 2.0**-7, 128)
"""The same 256 values stored as UINT8: ONNX Runtime has fused kernels on x86-64 for that type only."""

UNSIGNED = ActivationGrid("unsigned", np.uint8, 2.0**-8)
"""[0, 255/256] in 256 steps, for tensors that follow a ReLU: twice as fine as `SIGNED`. TensorRT has none such."""
