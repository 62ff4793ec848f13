"""Which images INT8 ranges come from: development folds only, labels in proportion, none that is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cxr_edge import gate
from cxr_edge.data_use import Footprint, footprint, image_sha256
from cxr_edge.decode import decode
from cxr_edge.errors import CxrEdgeError, DatasetError, RefusedInputError, SeenDataError, UsageError
from cxr_edge.labels import LabelFile, LabelledImage
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.regions import Localiser, network_input

__all__ = ["DEFAULT_COUNT", "NO_FOOTPRINT", "RangeImages", "choose_range_images", "network_inputs"]

DEFAULT_COUNT = 128
"""Images that ranges are taken from unless the caller says otherwise."""

BATCH = 4
"""Images run at once: what a batch's inner tensors take, about 60 MB an image at 224 x 224, bounds the memory."""

NO_FOOTPRINT = Footprint(frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class RangeImages:
    """The chosen images.

    Attributes:
        labels: the rows, in the order of the CSV.
        sha256: of each image's file, hexadecimal.
        footprint: for the record of what the model has seen.
        seed: of the choice.
    """

    labels: LabelFile
    sha256: tuple[str, ...]
    footprint: Footprint
    seed: int


def choose_range_images(
    labels: LabelFile,
    count: int = DEFAULT_COUNT,
    *,
    seed: int = 0,
    release_fold: str | None = None,
    evaluated: Footprint = NO_FOOTPRINT,
) -> RangeImages:
    """A seeded sample in which every combination of label and fold has its share; all images where there are fewer.

    Args:
        labels: the rows to choose from.
        count: how many images.
        seed: of the choice.
        release_fold: fold that nothing is fitted on, left out of the choice.
        evaluated: images and patients that parity or accuracy will be measured on.

    Raises:
        UsageError: fewer than 1 image asked for.
        DatasetError: no image is left to choose from, or one cannot be read.
        SeenDataError: a candidate is among the evaluated images or is of an evaluated patient.
    """
    if count < 1:
        raise UsageError(f"{count} range images cannot be chosen; ask for at least 1")
    candidates = [image for image in labels.images if release_fold is None or image.fold != release_fold]
    if not candidates:
        raise DatasetError(
            f"{labels.path}: no image is left for INT8 ranges without release fold {release_fold}; give a label file "
            "with other folds"
        )
    chosen = _stratified(candidates, count, np.random.default_rng(seed))
    sample = replace(labels, images=tuple(chosen))
    seen = footprint(sample)
    _refuse_overlap(seen, evaluated)
    return RangeImages(sample, tuple(image_sha256(image.path) for image in chosen), seen, seed)


def network_inputs(
    images: RangeImages,
    spec: PreprocessSpec,
    *,
    gate_spec: gate.GateSpec | None = None,
    localiser: Localiser | None = None,
    batch: int = BATCH,
    on_image: Callable[[int], None] = lambda done: None,
) -> tuple[NDArray[np.float32], ...]:
    """Network inputs in batches ``[N, 1, H, W]``; in memory, 196 kB an image at 224 x 224, because they are used often.

    Args:
        images: as chosen.
        spec: preprocessing of the model.
        gate_spec: thresholds of the input gate; None means its defaults.
        localiser: finds the lungs where the spec wants them.
        batch: images in one array.
        on_image: told how many images are done.

    Raises:
        DatasetError: an image cannot be read; the message gives its line in the label file.
        RefusedInputError: the gate refuses an image, a constant one for example: it would teach ranges nothing, or
            wrong ones.
    """
    inputs = []
    for done, image in enumerate(images.labels.images, start=1):
        inputs.append(_network_input(images.labels, image, spec, gate_spec, localiser))
        on_image(done)
    return tuple(np.stack(inputs[first : first + batch]) for first in range(0, len(inputs), batch))


def _network_input(
    labels: LabelFile,
    image: LabelledImage,
    spec: PreprocessSpec,
    gate_spec: gate.GateSpec | None,
    localiser: Localiser | None,
) -> NDArray[np.float32]:
    place = f"{labels.path}:{image.line}"
    try:
        radiograph = decode(image.path)
        report = gate.check(radiograph, gate_spec)
        if report.passed:
            return network_input(radiograph, spec, localiser)[None]
    except RefusedInputError as error:
        raise RefusedInputError(f"{place}: {error}; take the range image out of the list", error.reasons) from error
    except CxrEdgeError as error:
        raise DatasetError(f"{place}: range image cannot be read: {error}") from error
    reasons = tuple(str(reason) for reason in report.reasons)
    raise RefusedInputError(
        f"{place}: the input gate refuses this range image ({'; '.join(reasons)}); take it out of the list", reasons
    )


def _stratified(candidates: Sequence[LabelledImage], count: int, random: np.random.Generator) -> list[LabelledImage]:
    """``count`` of the candidates in their order, each stratum in proportion, by largest remainder."""
    if count >= len(candidates):
        return list(candidates)
    strata: dict[tuple[str, str], list[int]] = {}
    for position, image in enumerate(candidates):
        strata.setdefault((str(image.label), str(image.fold)), []).append(position)
    members = [strata[key] for key in sorted(strata)]
    shares = np.array([len(part) for part in members]) * (count / len(candidates))
    quotas = np.floor(shares).astype(int)
    # Ties of equal remainders are broken by the draw, not by the name of the stratum.
    order = np.lexsort((random.random(len(shares)), -(shares - quotas)))
    quotas[order[: count - quotas.sum()]] += 1
    drawn = [random.choice(part, quota, replace=False) for part, quota in zip(members, quotas, strict=True)]
    return [candidates[int(position)] for position in np.sort(np.concatenate(drawn))]


def _refuse_overlap(seen: Footprint, evaluated: Footprint) -> None:
    images, patients = len(seen.images & evaluated.images), len(seen.patients & evaluated.patients)
    if images or patients:
        raise SeenDataError(
            f"{images} range images and {patients} of their patients are also evaluated, so parity measured there "
            "would be no evidence; choose ranges from other folds or patients"
        )
