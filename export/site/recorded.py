"""The parity record that a bundle carries: what every engine gave for the images of its release, image by image."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.bundle import Bundle
from cxr_edge.engines import EngineDescription
from cxr_edge.errors import BundleError
from export.evidence import PARITY_FILE

__all__ = ["Recorded", "RecordedEngine", "recorded_parity"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RecordedEngine:
    """One engine and precision of the record.

    Attributes:
        engine: what ran, on the exporting machine.
        emulated: it imitated engines that were not there.
        logits: ``[n]``.
        cam_median_r, cam_same_peak: of the maps, over all images of the record; no temperature changes them.
    """

    engine: EngineDescription
    emulated: bool
    logits: Floats
    cam_median_r: float
    cam_same_peak: float


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """The record's images and engines.

    Attributes:
        labels: ``[n]`` 0 or 1.
        reference: ``[n]`` logits of FP32.
        fresh: ``[n]`` false where the site has the same image, which then counts once where both are pooled.
        engines: whatever was held against it.
    """

    labels: NDArray[np.int64]
    reference: Floats
    fresh: NDArray[np.bool_]
    engines: tuple[RecordedEngine, ...]


def recorded_parity(bundle: Bundle, shared: Collection[str] = ()) -> Recorded | None:
    """The parity record of a bundle.

    Args:
        bundle: verified bundle.
        shared: hashes of images that are measured afresh.

    Returns:
        None where the bundle carries none, or one whose images have no labels or are fewer than two.

    Raises:
        BundleError: the record is not what an export writes.
    """
    if PARITY_FILE not in bundle.manifest.files:
        return None
    try:
        record = json.loads(bundle.file_bytes(PARITY_FILE))
        return _read(record, bundle, shared)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BundleError(f"{PARITY_FILE} of the bundle is not what an export writes ({error!r})") from error


def _read(record: dict[str, Any], bundle: Bundle, shared: Collection[str]) -> Recorded | None:
    images = record["images"]
    if len(images) < 2 or any(image["label"] is None for image in images):
        return None
    logits = np.array([image["logit"] for image in images], dtype=np.float64)
    engines = []
    for column, comparison in enumerate(record["comparisons"], start=1):
        engine = EngineDescription(**comparison["engine"])
        if _same_file(record, bundle, engine.precision):
            maps = comparison["agreement"]
            engines.append(
                RecordedEngine(
                    engine=engine,
                    emulated=bool(comparison["emulated"]),
                    logits=logits[:, column],
                    cam_median_r=float(maps["cam_median_r"]),
                    cam_same_peak=float(maps["cam_same_peak"]),
                )
            )
    return Recorded(
        labels=np.array([image["label"] for image in images], dtype=np.int64),
        reference=logits[:, 0],
        fresh=np.array([image["name"] not in shared for image in images]),
        engines=tuple(engines),
    )


def _same_file(record: dict[str, Any], bundle: Bundle, precision: str) -> bool:
    """Whether the record speaks of the model that the bundle holds for a precision."""
    entry = bundle.manifest.models.get(precision)
    return entry is not None and record["models"].get(precision) == bundle.manifest.files[entry.file].sha256
