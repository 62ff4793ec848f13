"""Types of the native extension; its code is cxr_edge/native/python/binding.cpp."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__version__: str
MAX_SIDE: int

def preprocess(
    pixels: NDArray[Any],
    crop: tuple[int, int, int, int],
    window: tuple[int, int],
    padding: tuple[int, int] | None,
    inverted: bool,
    map: tuple[float, float],
    out: NDArray[np.float32],
    threads: int,
    simd: str,
) -> None: ...
def simd_levels() -> list[str]: ...

CUDA_BUILD: str

def cuda_unavailable_reason() -> str | None: ...

class CudaPreprocess:
    def __init__(self) -> None: ...
    @property
    def device(self) -> int: ...
    def run(
        self,
        pixels: int,
        pixel_type: int,
        size: tuple[int, int],
        row_stride: int,
        crop: tuple[int, int, int, int],
        window: tuple[int, int],
        padding: tuple[int, int] | None,
        inverted: bool,
        map: tuple[float, float],
        out: int,
        out_size: tuple[int, int],
        stream: int,
    ) -> None: ...

def kernels() -> list[str]: ...

class Engine:
    def __init__(self, model: bytes, threads: int, kernel: str) -> None: ...
    def infer(self, image: NDArray[np.float32], logit: NDArray[np.float32], cam: NDArray[np.float32]) -> None: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def map_height(self) -> int: ...
    @property
    def map_width(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def kernel(self) -> str: ...
