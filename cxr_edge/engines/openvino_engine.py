"""OpenVINO on the CPU."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from cxr_edge.bundle import Bundle
from cxr_edge.engines.base import Array, Engine, EngineDescription, EngineOptions, EngineOutput
from cxr_edge.engines.openvino_compilation import compiled_model
from cxr_edge.engines.openvino_inspection import reason
from cxr_edge.engines.signature import INPUT
from cxr_edge.engines.silent_openvino import openvino
from cxr_edge.errors import EngineError

__all__ = ["OpenVinoEngine"]


class OpenVinoEngine(Engine):
    """One model, compiled for one image at a time, on one stream of all threads.

    A batch runs image by image. Its images then have the bits that each has alone, one compiled model and its memory
    serve every N, and the plugin plans for the shape that a decision waits for: with N left free it plans for none.

    Thread-safety: each call borrows an inference request of its own, so calls from several threads do not share
    memory; the plugin runs them one after another, each on all threads.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions) -> None:
        super().__init__(bundle, options)
        compiled = compiled_model(bundle, options, self._image_shape, self._outputs)
        self._model: Any = compiled.model
        self._idle: deque[_Request] = deque()
        self._description = EngineDescription(
            name="openvino",
            precision=options.precision,
            device=options.device,
            runtime_version=openvino.get_version(),
            computed_as=compiled.computed_as,
            threads=compiled.threads,
            model_cache=compiled.model_cache,
        )

    def describe(self) -> EngineDescription:
        """What really runs."""
        return self._description

    def _infer(self, images: Array) -> EngineOutput:
        try:
            request = self._borrowed()
            output = request.run(images)
        except RuntimeError as error:
            raise EngineError(f"openvino failed on a batch of {len(images)}: {reason(error)}") from error
        # A request that failed is not used again; one that comes back after `close` is dropped, too.
        self._idle.append(request)
        if self._closed:
            self._idle.clear()
        return output

    def _release(self) -> None:
        self._model = None
        self._idle.clear()

    def _borrowed(self) -> _Request:
        """An idle request, or a new one where all are in use."""
        try:
            return self._idle.pop()
        except IndexError:
            model = self._model
        if model is None:  # closed by another thread since `infer` looked
            raise EngineError("the engine is closed: open it again to classify")
        return _Request(model)


class _Request:
    """An inference request with its input and output memory, which the runtime fills in place, call after call."""

    def __init__(self, model: Any) -> None:
        self._request = model.create_infer_request()
        self._image: Array = self._request.get_tensor(INPUT).data
        self._logit: Array = self._request.get_tensor("logit").data
        self._cam: Array = self._request.get_tensor("cam").data

    def run(self, images: Array) -> EngineOutput:
        """Outputs of ``[N, 1, H, W]`` images in memory of their own.

        Copying an image into the request takes some ten microseconds, and leaves no way for the runtime to read
        memory that its owner has freed or changed.
        """
        count = len(images)
        output = EngineOutput(
            np.empty((count, *self._logit.shape[1:]), np.float32), np.empty((count, *self._cam.shape[1:]), np.float32)
        )
        for number in range(count):
            self._image[0] = images[number]
            self._request.start_async()
            self._request.wait()
            output.logit[number] = self._logit[0]
            output.cam[number] = self._cam[0]
        return output
