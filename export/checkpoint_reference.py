"""A checkpoint in torch as the reference of a parity measurement: is even the FP32 graph what was trained?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cxr_edge.bundle import Manifest
from cxr_edge.engines import EngineDescription, EngineOutput
from cxr_edge.errors import DatasetError
from training.checkpoints import load_checkpoint

__all__ = ["CheckpointReference"]


class CheckpointReference:
    """Runs a checkpoint in torch on the CPU; a `cxr_edge.evaluation.parity.Reference`.

    Args:
        path: checkpoint of any format that `training.checkpoints` reads.
        manifest: of the bundle that it is compared with: input and outputs must be its own.
        threads: of torch, for the whole process until `close`; None leaves them as they are.

    Raises:
        DatasetError: the checkpoint cannot be used, or has other outputs than the bundle.
    """

    def __init__(self, path: Path, manifest: Manifest, threads: int | None = None) -> None:
        loaded = load_checkpoint(path, preprocess=manifest.preprocess)
        if loaded.labels != manifest.outputs:
            raise DatasetError(
                f"{path} gives {', '.join(loaded.labels)}; the bundle gives {', '.join(manifest.outputs)}: "
                "compare a bundle with the checkpoint that it was exported from"
            )
        self._network = loaded.model.eval()
        self._threads_before = torch.get_num_threads()
        if threads is not None:
            torch.set_num_threads(threads)

    def describe(self) -> EngineDescription:
        """What runs."""
        return EngineDescription(
            name="torch",
            precision="fp32",
            device="cpu",
            runtime_version=torch.__version__,
            computed_as="fp32 stored, fp32 computed",
            threads=torch.get_num_threads(),
        )

    def infer(self, images: NDArray[np.float32]) -> EngineOutput:
        """Logits ``[N, K]`` and maps ``[N, K, h, w]`` for network inputs ``[N, 1, H, W]``."""
        with torch.inference_mode():
            logit, cam = self._network(torch.from_numpy(images))
        return EngineOutput(logit.numpy(), cam.numpy())

    def close(self) -> None:
        """Give torch back the threads that it had."""
        torch.set_num_threads(self._threads_before)
