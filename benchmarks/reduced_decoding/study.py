"""Each image encoded as detectors and archives do, decoded in full and reduced, classified both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_edge.classifier import Classifier
from cxr_edge.decode import DecodeLimits
from cxr_edge.decode.codecs import CodecRequest
from cxr_edge.decode.decoding import decoded_samples
from cxr_edge.decode.limits import DEFAULT_LIMITS
from cxr_edge.records import Radiograph, Window
from cxr_edge.result import Result

__all__ = ["CODECS", "Comparison", "compare"]

Codec = Literal["jpeg 95", "jpeg 2000 lossless", "jpeg 2000 lossy"]
CODECS: tuple[Codec, ...] = ("jpeg 2000 lossless", "jpeg 2000 lossy", "jpeg 95")

REDUCTIONS = (2, 4, 8)

LOSSY_RATIO = 15
"""Compression of the lossy JPEG 2000 files, original size to compressed; archives use 10 to 20 for radiographs."""

BITS = 12
"""Precision of the JPEG 2000 frames: a detector's."""


NOISE = 2.0
"""Standard deviation of the noise added to the enlarged picture, grey values of 255."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One image decoded in full and reduced.

    Attributes:
        precision: of the bundle's model.
        codec: how it was compressed.
        side: pixels of each side of the full frame.
        reduction: how many times smaller the reduced frame is in each direction.
        full, reduced: calibrated probabilities; None where the gate refuses the picture.
        flipped: whether the decision at the bundle's operating point changed.
    """

    precision: str
    codec: Codec
    side: int
    reduction: int
    full: float | None
    reduced: float | None
    flipped: bool


def compare(classifiers: Mapping[str, Classifier], pixels: NDArray[np.uint8], side: int) -> Iterator[Comparison]:
    """Every codec and every reduction that leaves the network's input at least its own size.

    Args:
        classifiers: by precision, all with the same bundle.
        pixels: ``[H, W]`` an 8-bit radiograph.
        side: pixels of the square frame that is made of it, a multiple of 8.
    """
    frame = detector_frame(pixels, side)
    spec = next(iter(classifiers.values())).bundle.manifest.preprocess
    reductions = [reduction for reduction in REDUCTIONS if side // reduction >= max(spec.height, spec.width)]
    for codec in CODECS:
        data = encoded(frame, codec)
        decoded = {
            reduction: decode_jpeg(data, reduction) if codec == "jpeg 95" else decode_jpeg2000(data, side, reduction)
            for reduction in (1, *reductions)
        }
        for precision, classifier in classifiers.items():
            full = classifier.classify(decoded[1])
            for reduction in reductions:
                yield comparison(precision, codec, side, reduction, full, classifier.classify(decoded[reduction]))


def comparison(precision: str, codec: Codec, side: int, reduction: int, full: Result, reduced: Result) -> Comparison:
    """Two results of one image, the full frame's first; nothing is compared where the gate refused one of them."""
    return Comparison(
        precision, codec, side, reduction, full.probability, reduced.probability, full.label != reduced.label
    )


def detector_frame(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """The radiograph enlarged (bicubic), with the noise that a small copy no longer has; grey values 0-255."""
    enlarged = Image.fromarray(pixels.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0.0, NOISE, (side, side))
    return (np.asarray(enlarged) + noise).astype(np.float32)


def encoded(frame: NDArray[np.float32], codec: Codec) -> bytes:
    """The frame, grey values 0-255, as JPEG of 8 bits or as a JPEG 2000 codestream of 12."""
    buffer = BytesIO()
    if codec == "jpeg 95":
        Image.fromarray(np.clip(np.rint(frame), 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=95)
        return buffer.getvalue()
    top = (1 << BITS) - 1
    stored = np.clip(np.rint(frame * (top / 255)), 0, top).astype(np.uint16)
    lossy = {"irreversible": True, "quality_mode": "rates", "quality_layers": [LOSSY_RATIO]}
    options = lossy if codec == "jpeg 2000 lossy" else {"irreversible": False}
    Image.fromarray(stored).save(buffer, "JPEG2000", no_jp2=True, **options)
    return buffer.getvalue()


def decode_jpeg(data: bytes, reduction: int) -> Radiograph:
    """A JPEG decoded by libjpeg's scaled inverse DCT."""
    image = Image.open(BytesIO(data))
    image.draft("L", (image.width // reduction, image.height // reduction))
    return Radiograph(np.array(image), Window(0, 255), source="jpeg")


def decode_jpeg2000(data: bytes, side: int, reduction: int) -> Radiograph:
    """A codestream decoded the way the library does."""
    reduce_to = side // reduction if reduction > 1 else 0
    request = CodecRequest("dicom jpeg 2000", DEFAULT_LIMITS.max_pixels, reduce_to=reduce_to)
    samples = decoded_samples(request, data, DecodeLimits())
    # Pillow writes 12-bit values as 16-bit samples; the window is what they were.
    return Radiograph(samples.pixels, Window(0, (1 << BITS) - 1), source="jpeg 2000")
