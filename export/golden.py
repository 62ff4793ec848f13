"""The golden input: a small stored frame and what preprocessing and the network must make of it anywhere."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cxr_edge.bundle import Golden
from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Radiograph
from cxr_edge.regions import Localiser, network_input
from cxr_edge.self_test import golden_spec

__all__ = ["GOLDEN_FILE", "golden_frame_bytes", "golden_record"]

GOLDEN_FILE = "golden.npy"

TOLERANCE = {"fp32": 1e-3, "fp16": 0.05, "int8": 0.25, "int8-fp16": 0.25}
"""Largest difference of a logit by precision, on any runtime.

float32 sums in another order move the last digits. FP16 kernels round every tensor, the CPU's stand-in does not. In
INT8 a value that two runtimes compute a last digit apart can round to neighbouring integers, and DenseNet passes every
tensor on to all later layers. The self-test finds a wrong file or a broken engine; parity is for the rest.
"""

SPEC = PhantomSpec(height=320, width=288, bits_stored=8, seed=11, abnormal=True)


def golden_radiograph() -> Radiograph:
    """A phantom with opacities; its sides are no multiples of 224, so that every kind of area weight occurs."""
    return phantom(SPEC)


def golden_frame_bytes() -> bytes:
    """The frame as a ``.npy`` file, stored in the bundle so that no drawing code needs to give the same pixels."""
    buffer = io.BytesIO()
    np.save(buffer, golden_radiograph().pixels)
    return buffer.getvalue()


def golden_record(models: Mapping[str, bytes], spec: PreprocessSpec, localiser: Localiser | None = None) -> Golden:
    """Input hash, whichever implementation preprocesses; logits of every precision by ONNX Runtime's CPU provider.

    Args:
        models: the ONNX files' bytes by precision.
        spec: preprocessing of the bundle.
        localiser: of the bundle, where its network needs lungs.
    """
    image: NDArray[np.float32] = network_input(golden_radiograph(), golden_spec(spec), localiser)
    return Golden(
        frame=GOLDEN_FILE,
        bits_stored=SPEC.bits_stored,
        input_sha256=hashlib.sha256(image.astype("<f4").tobytes()).hexdigest(),
        logit={precision: logits_of(model, image) for precision, model in models.items()},
        tolerance={precision: TOLERANCE[precision] for precision in models},
    )


def logits_of(model: bytes, image: NDArray[np.float32]) -> tuple[float, ...]:
    """Logits ``[K]`` for one network input ``[H, W]``."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3  # it warns, at length, of every FP16 constant that it has no CPU kernel to fold
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    return tuple(float(value) for value in session.run(["logit"], {"image": image[None, None]})[0][0])
