"""An FP32 network run with inner tensors as extra outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from cxr_edge.errors import UnsupportedInputError

__all__ = ["TappedModel"]


class TappedModel:
    """Runs an ONNX model on ONNX Runtime's CPU provider and returns tensors that are no outputs of it.

    Args:
        model: the ONNX file's bytes; input ``image``.
        tensors: names of the tensors to return: inner ones, outputs, or the input itself.
        optimised: let the runtime fuse operators. Without, every node computes what the file says, quantise and
            dequantise nodes included, so that the numbers are those of the file and not of a fused kernel.

    Raises:
        UnsupportedInputError: the model has no tensor of such a name.
    """

    def __init__(self, model: bytes, tensors: Sequence[str], *, optimised: bool = True) -> None:
        proto = onnx.ModelProto.FromString(model)
        known = {name for node in proto.graph.node for name in node.output}
        missing = [name for name in tensors if name not in known and name != "image"]
        if missing:
            raise UnsupportedInputError(
                f"the model has no tensor {missing[0]!r} ({len(missing)} of {len(tensors)} names are unknown); "
                "give the names of this very model"
            )
        self.tensors = tuple(tensors)
        self._fetched = [name for name in tensors if name != "image"]
        outputs = {value.name for value in proto.graph.output}
        proto.graph.output.extend(
            onnx.helper.make_empty_tensor_value_info(name) for name in self._fetched if name not in outputs
        )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # fused-away names would be warned of one by one
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Every tensor by name for a batch.

        Args:
            images: ``[N, C, H, W]``.
        """
        values = self._session.run(self._fetched, {"image": images}) if self._fetched else []
        found = dict(zip(self._fetched, values, strict=True))
        return {name: images if name == "image" else found[name] for name in self.tensors}
