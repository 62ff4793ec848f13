"""Network inputs of labelled images, each decoded, gated and preprocessed once, whatever number of models see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cxr_edge import gate
from cxr_edge.bundle import Bundle
from cxr_edge.decode import decode
from cxr_edge.errors import CxrEdgeError, RefusedInputError
from cxr_edge.labels import LabelledImage
from cxr_edge.regions import network_input

__all__ = ["Prepared", "prepared_images"]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One image on its way to the models.

    Attributes:
        image: the row of the label file.
        status: ``"refused"`` by the input gate and ``"failed"`` where it could not be read have no input.
        input: ``[1, 1, H, W]`` float32, None unless the status is ``"ok"``.
        reason: why there is no input.
    """

    image: LabelledImage
    status: Literal["ok", "refused", "failed"]
    input: NDArray[np.float32] | None = None
    reason: str = ""


def prepared_images(images: Sequence[LabelledImage], bundle: Bundle, threads: int) -> Iterator[Prepared]:
    """Each image in turn as the bundle's network takes it; one that cannot be used never stops the others.

    Args:
        images: to prepare.
        bundle: gives the input gate and the preprocessing.
        threads: of preprocessing.
    """
    spec, localiser = bundle.manifest.preprocess, bundle.open_localiser()
    gate_spec = gate.GateSpec.from_json(dict(bundle.manifest.gate))
    for image in images:
        try:
            radiograph = decode(image.path)
        except CxrEdgeError as error:
            yield Prepared(image, "failed", reason=str(error))
            continue
        report = gate.check(radiograph, gate_spec)
        if not report.passed:
            yield Prepared(image, "refused", reason="; ".join(map(str, report.reasons)))
            continue
        values = np.empty((1, 1, spec.height, spec.width), np.float32)
        try:
            network_input(radiograph, spec, localiser, threads=threads, out=values[0, 0])
        except RefusedInputError as error:
            yield Prepared(image, "refused", reason="; ".join(error.reasons))
            continue
        yield Prepared(image, "ok", values)
