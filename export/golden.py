"""The golden input: a small stored frame and what preprocessing and the network must make of it anywhere."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from numpy.typing import NDArray

from cxr_edge.bundle import Golden
from cxr_edge.phantom import PhantomSpec, phantom
from cxr_edge.preprocess import reference
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.records import Radiograph

__all__ = ["GOLDEN_FILE", "golden_frame_bytes", "golden_record"]

GOLDEN_FILE = "golden.npy"

TOLERANCE = {"fp32": 1e-3}
"""Largest difference of a logit by precision: float32 sums in another order, on another runtime."""

SPEC = PhantomSpec(height=320, width=288, bits_stored=8, seed=11, abnormal=True)


def golden_radiograph() -> Radiograph:
    """A phantom with opacities; its sides are no multiples of 224, so that every kind of area weight occurs."""
    return phantom(SPEC)


def golden_frame_bytes() -> bytes:
    """The frame as a ``.npy`` file, stored in the bundle so that no drawing code needs to give the same pixels."""
    buffer = io.BytesIO()
    np.save(buffer, golden_radiograph().pixels)
    return buffer.getvalue()


def golden_record(model: bytes, spec: PreprocessSpec) -> Golden:
    """Input hash by the numpy reference, logits by ONNX Runtime on the FP32 graph.

    Args:
        model: the FP32 ONNX file's bytes.
        spec: preprocessing of the bundle.
    """
    import onnxruntime

    image: NDArray[np.float32] = reference.preprocess(golden_radiograph(), spec)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logit = session.run(["logit"], {"image": image[None, None]})[0][0]
    return Golden(
        frame=GOLDEN_FILE,
        bits_stored=SPEC.bits_stored,
        input_sha256=hashlib.sha256(image.astype("<f4").tobytes()).hexdigest(),
        logit={"fp32": tuple(float(value) for value in logit)},
        tolerance=dict(TOLERANCE),
    )
