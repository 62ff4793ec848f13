"""Where the lungs are: a small network on the thumbnail of a frame, and a box that noise does not move.

The network always runs in FP32 on ONNX Runtime's CPU provider, on one thread, whatever engine and precision classify:
neither may move the crop. What its map must look like to be believed stands in `cxr_edge.lung_shape`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.errors import BundleError, EngineError, UsageError
from cxr_edge.lung_shape import implausible, lung_components, snapped
from cxr_edge.regions.cells import GRID, CellBox, cells_around

__all__ = ["INPUT", "OUTPUT", "LungLocaliser", "LungModel", "Lungs"]

INPUT, OUTPUT = "thumbnail", "lungs"
"""Names of the model's one input and one output, both float32 ``[N, 1, 128, 128]``."""


@dataclass(frozen=True, slots=True)
class Lungs:
    """What the localiser found in one picture.

    Attributes:
        found: whether there are lungs that can be believed.
        box: of both lungs, widened outwards to the fixed grid of `cxr_edge.lung_shape.SNAP` cells; None if not found.
        mask: ``[128, 128]`` bool, cells that are mostly lung; all false if not found.
        reason: why nothing was found, one phrase with the value seen; None if found.
    """

    found: bool
    box: CellBox | None
    mask: NDArray[np.bool_]
    reason: str | None = None


class LungLocaliser:
    """Finds the lungs in thumbnails; open one with `open`, close it or use it in a ``with`` block.

    Thread-safety: `locate` may be called from several threads.
    """

    def __init__(self, model: LungModel) -> None:
        self._model = model

    @classmethod
    def open(cls, data: bytes) -> LungLocaliser:
        """The localiser that an ONNX file holds.

        Args:
            data: the file's bytes, as verified by whoever read them.

        Raises:
            BundleError: no ONNX file that can be loaded, or one with other inputs or outputs.
            EngineError: ONNX Runtime is not installed.
        """
        return cls(LungModel(data))

    def locate(self, thumbnail: NDArray[np.float32]) -> Lungs:
        """The lungs of one frame.

        Args:
            thumbnail: the whole frame ``[128, 128]`` float32 in display polarity, about [-1, 1], as
                `cxr_edge.regions.thumbnail.thumbnail` makes it.

        Raises:
            UsageError: another shape or type.
            EngineError: the model failed, gave numbers that are not finite, or is closed.
        """
        logits = self._model.logits(thumbnail)
        mask = lung_components(logits > 0)
        reason = implausible(mask, logits)
        box = cells_around(mask)
        if reason is not None or box is None:
            return Lungs(False, None, np.zeros((GRID, GRID), np.bool_), reason)
        return Lungs(True, snapped(box), mask)

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        self._model.close()

    def __enter__(self) -> LungLocaliser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LungModel:
    """The network alone: thumbnails in, logits out.

    Args:
        data: the ONNX file's bytes.

    Raises:
        BundleError: no ONNX file that can be loaded, or one with other inputs or outputs.
        EngineError: ONNX Runtime is not installed.
    """

    def __init__(self, data: bytes) -> None:
        self._session: Any = _session(data)
        _check_tensors("input", self._session.get_inputs(), INPUT)
        _check_tensors("output", self._session.get_outputs(), OUTPUT)

    def logits(self, thumbnail: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``[128, 128]`` that a cell is lung; positive means more likely than not.

        Raises:
            UsageError: a thumbnail of another shape or type.
            EngineError: the model failed, gave numbers that are not finite, or is closed.
        """
        if thumbnail.shape != (GRID, GRID) or thumbnail.dtype != np.float32:
            raise UsageError(
                f"the localiser wants a float32 thumbnail [{GRID}, {GRID}], not {thumbnail.dtype} "
                f"{list(thumbnail.shape)}"
            )
        session = self._session
        if session is None:
            raise EngineError("the lung localiser is closed: open it again to find lungs")
        try:
            (output,) = session.run([OUTPUT], {INPUT: np.ascontiguousarray(thumbnail)[None, None]})
        except Exception as error:  # its exception classes share no base
            raise EngineError(f"onnxruntime failed on the lung localiser: {error}") from error
        logits: NDArray[np.float32] = output[0, 0]
        if not np.isfinite(logits).all():
            raise EngineError("the lung localiser gave numbers that are not finite; its weights must be damaged")
        return logits

    def close(self) -> None:
        """Free the session; a second call does nothing."""
        self._session = None

    def __enter__(self) -> LungModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _session(data: bytes) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise EngineError("the lung localiser needs onnxruntime: pip install onnxruntime") from error
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.use_deterministic_compute = True
    settings.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes share no base
        raise BundleError(f"the lung localiser's model cannot be loaded: {error}") from error


def _check_tensors(kind: str, tensors: Any, name: str) -> None:
    """Check that a model has one input or output of the contract.

    Raises:
        BundleError: it has others; the message lists them.
    """
    seen = [(tensor.name, tensor.type, list(tensor.shape)) for tensor in tensors]
    # The batch size is free (a name) or 1.
    fits = len(seen) == 1 and seen[0][:2] == (name, "tensor(float)") and seen[0][2][1:] == [1, GRID, GRID]
    if not fits or seen[0][2][0] not in ("N", 1):
        listed = "; ".join(f"{tensor} {type_} {shape}" for tensor, type_, shape in seen)
        raise BundleError(
            f"the lung localiser's {kind} must be {name} tensor(float) [N, 1, {GRID}, {GRID}]; the model has {listed}"
        )
