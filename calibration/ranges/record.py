"""What every channel of every tensor spans, and where that was measured."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.ranges.methods import RangeMethod
from cxr_edge.errors import BundleError, DatasetError
from cxr_edge.preprocess.spec import PreprocessSpec

__all__ = ["ChannelRange", "Ranges"]

FORMAT = 1
HEADER = "header"
"""Name of the JSON text among the arrays of the file."""


@dataclass(frozen=True, slots=True)
class ChannelRange:
    """What the channels of one tensor span.

    Attributes:
        low, high: ``[C]`` float64, finite, ``low <= high``; equal for a dead channel, which is constant.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.low.shape != self.high.shape or self.low.ndim != 1 or not self.low.size:
            raise DatasetError(
                f"a range has the shapes {self.low.shape} and {self.high.shape}; expected one per channel"
            )
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()):
            channel = int(np.flatnonzero(~(np.isfinite(self.low) & np.isfinite(self.high)))[0])
            raise DatasetError(
                f"the range of channel {channel} is [{self.low[channel]}, {self.high[channel]}]: the FP32 model gave a "
                "value that is not finite on a range image; check the model and the images"
            )
        if (self.low > self.high).any():
            raise DatasetError("a range has its ends swapped")

    @property
    def dead(self) -> NDArray[np.bool_]:
        """``[C]`` true where the channel never changed."""
        return np.asarray(self.low == self.high)


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of a model's tensors, valid for this very model and preprocessing.

    Attributes:
        tensors: by name in the FP32 graph.
        method: how ranges were taken from the values.
        model_sha256: of the FP32 model's bytes.
        preprocess: of the images.
        images: SHA-256 of each image's file, in the order of use; empty where inputs came from no files.
        image_count: how many inputs were seen.
        versions: of what computed them, by name.
    """

    tensors: Mapping[str, ChannelRange]
    method: RangeMethod
    model_sha256: str
    preprocess: PreprocessSpec
    images: tuple[str, ...]
    image_count: int
    versions: Mapping[str, str]

    def of(self, tensor: str) -> ChannelRange:
        """The range of one tensor.

        Raises:
            DatasetError: there is none; the record was made for another set of tensors.
        """
        try:
            return self.tensors[tensor]
        except KeyError:
            raise DatasetError(f"the ranges have no tensor {tensor!r}; collect them again") from None

    def require_fresh(self, model_sha256: str, preprocess: PreprocessSpec) -> None:
        """Return when these ranges belong to this model and preprocessing.

        Raises:
            DatasetError: they are stale; the message says what differs.
        """
        if model_sha256 != self.model_sha256:
            raise DatasetError(
                f"the ranges are stale: they were collected on the model {self.model_sha256[:12]}..., not on "
                f"{model_sha256[:12]}...; collect them again"
            )
        if preprocess != self.preprocess:
            raise DatasetError(
                f"the ranges are stale: they were collected with {self.preprocess}, the model now gets {preprocess}; "
                "collect them again"
            )

    def to_bytes(self) -> bytes:
        """The record as an ``.npz`` file that `from_bytes` reads back to an equal one."""
        header = {
            "format": FORMAT,
            "tensors": list(self.tensors),
            "method": self.method.to_json(),
            "model_sha256": self.model_sha256,
            "preprocess": self.preprocess.to_json(),
            "images": list(self.images),
            "image_count": self.image_count,
            "versions": dict(self.versions),
        }
        arrays: dict[str, Any] = {HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)}
        for number, found in enumerate(self.tensors.values()):
            arrays[f"range{number}"] = np.stack([found.low, found.high])
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Ranges:
        """The record that `to_bytes` wrote.

        Raises:
            DatasetError: damaged, of a newer format, or with a range that is not finite.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            header = json.loads(arrays[HEADER].tobytes())
            if header["format"] != FORMAT:
                raise DatasetError(f"the ranges have format {header['format']}; this version reads {FORMAT}")
            pairs = (arrays[f"range{number}"] for number in range(len(header["tensors"])))
            return cls(
                {name: ChannelRange(*pair) for name, pair in zip(header["tensors"], pairs, strict=True)},
                RangeMethod.from_json(header["method"]),
                header["model_sha256"],
                PreprocessSpec.from_json(header["preprocess"]),
                tuple(header["images"]),
                int(header["image_count"]),
                header["versions"],
            )
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, BundleError) as error:
            raise DatasetError(f"the ranges cannot be read ({error}); collect them again") from error
