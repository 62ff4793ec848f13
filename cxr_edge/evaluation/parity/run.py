"""Measuring parity: each image is decoded and preprocessed once, then seen by the reference and every candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxr_edge.bundle import Bundle
from cxr_edge.data_use import DataUse
from cxr_edge.engines import EngineDescription, EngineOutput, available_threads, open_engine
from cxr_edge.errors import DatasetError, EngineError
from cxr_edge.evaluation.parity.candidates import REFERENCE, Selection, select_candidates
from cxr_edge.evaluation.parity.images import ParityImages, unseen_stamp
from cxr_edge.evaluation.parity.judgement import judged
from cxr_edge.evaluation.parity.machine import this_machine
from cxr_edge.evaluation.parity.outputs import Outputs
from cxr_edge.evaluation.parity.preparation import prepared_images
from cxr_edge.evaluation.parity.report import DataSource, LeftOut, ParityReport, image_name
from cxr_edge.labels import LabelledImage
from cxr_edge.probability import OperatingPoint
from cxr_edge.result import BundleIdentity

__all__ = ["Reference", "measure_parity"]

Floats = NDArray[np.float32]


class Reference(Protocol):
    """What candidates are held against; every `cxr_edge.engines.Engine` is one."""

    def describe(self) -> EngineDescription:
        """What it is."""

    def infer(self, images: Floats) -> EngineOutput:
        """Outputs for ``[N, 1, H, W]``."""

    def close(self) -> None:
        """Give back what it holds."""


@dataclass(slots=True)
class Collected:
    """Outputs of one model, image by image."""

    logits: list[float] = field(default_factory=list)
    cams: list[Floats] = field(default_factory=list)

    def add(self, output: EngineOutput) -> None:
        """Keep the first output of the one image, the one that operating points apply to."""
        self.logits.append(float(output.logit[0, 0]))
        self.cams.append(np.array(output.cam[0, 0], dtype=np.float32))

    def outputs(self) -> Outputs:
        """All of them as arrays."""
        return Outputs.of(self.logits, np.stack(self.cams))


def measure_parity(
    bundle: Bundle,
    images: ParityImages,
    *,
    engines: Sequence[str] = (),
    precisions: Sequence[str] = (),
    stand_ins: Mapping[str, Reference] = MappingProxyType({}),
    reference: Reference | None = None,
    operating_point: OperatingPoint | None = None,
    threads: int | None = None,
    allow_seen: bool = False,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> ParityReport:
    """Hold every engine and precision that runs here against the reference; broken limits are for the caller to act on.

    Args:
        bundle: verified bundle.
        images: what to measure on; the bundle must not have seen them.
        engines: names; empty means all that are installed.
        precisions: empty means all that the bundle holds.
        stand_ins: models that emulate, for a precision each, engines that are not here; compared and marked as
            emulated. They are closed here.
        reference: None means the bundle's own FP32 model on ONNX Runtime. It is closed here.
        operating_point: None means the bundle's default.
        threads: of each engine; None means every core that this process may use.
        allow_seen: measure although the bundle has seen some of the images; the report is stamped.
        on_image: called with the number of images done and of all.

    Raises:
        SeenDataError: images or patients were seen and that is not allowed.
        EngineError: an engine asked for is missing, one fails, or there is nothing to compare.
        DatasetError: an image that cannot be opened, or fewer than two images that every model saw.
        UsageError: an unknown engine or precision.
    """
    with ExitStack() as stack:
        for given in (*stand_ins.values(), *([reference] if reference else [])):
            stack.callback(given.close)
        stamp = unseen_stamp(images, DataUse.from_json(dict(bundle.manifest.data_use)), allow_seen=allow_seen)
        selection = select_candidates(
            bundle, engines, precisions, with_reference=reference is not None, stand_ins=stand_ins
        )
        _refuse_nothing(bundle, selection)
        if reference is None:
            reference = stack.enter_context(
                open_engine(bundle, engine=REFERENCE[0], precision=REFERENCE[1], threads=threads)
            )
        models: list[Reference] = [reference]
        for item in selection.chosen:
            if item.emulated:
                models.append(stand_ins[item.precision])
            else:
                models.append(stack.enter_context(open_engine(bundle, item.engine, item.precision, threads=threads)))
        seen = _seen_by(models, bundle, images.images, threads or available_threads(), on_image)
        descriptions = [model.describe() for model in models]
    return _report(bundle, images, selection, descriptions, seen, operating_point, stamp)


def _short(path: Path) -> str:
    """The file with its folder: label files are mostly called alike, and the rest of the path is this machine's."""
    return f"{path.resolve().parent.name}/{path.name}"


def _refuse_nothing(bundle: Bundle, selection: Selection) -> None:
    if not selection.chosen:
        reasons = "; ".join(f"{item.engine} {item.precision}: {item.reason}" for item in selection.unavailable)
        raise EngineError(
            f"bundle {bundle.manifest.name!r} has nothing to compare with its FP32 model on ONNX Runtime here"
            f"{f' ({reasons})' if reasons else ''}: export it with another precision, or install another engine"
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """The images that every model saw, what each made of them, and the images that none saw."""

    images: tuple[LabelledImage, ...]
    outputs: tuple[Outputs, ...]
    refused: tuple[LeftOut, ...]
    failed: tuple[LeftOut, ...]


def _seen_by(
    models: Sequence[Reference],
    bundle: Bundle,
    images: Sequence[LabelledImage],
    threads: int,
    on_image: Callable[[int, int], None],
) -> Seen:
    kept: list[LabelledImage] = []
    left_out: dict[str, list[LeftOut]] = {"refused": [], "failed": []}
    collected = [Collected() for _ in models]
    for done, prepared in enumerate(prepared_images(images, bundle, threads), start=1):
        if prepared.input is None:
            left_out[prepared.status].append(LeftOut(image_name(prepared.image), prepared.reason))
        else:
            kept.append(prepared.image)
            for model, outputs in zip(models, collected, strict=True):
                outputs.add(model.infer(prepared.input))
        on_image(done, len(images))
    refused, failed = tuple(left_out["refused"]), tuple(left_out["failed"])
    if len(kept) < 2:
        raise DatasetError(
            f"parity needs two images at least; of {len(images)} the input gate refused {len(refused)} and "
            f"{len(failed)} could not be read{f': {failed[0].reason}' if failed else ''}"
        )
    return Seen(tuple(kept), tuple(part.outputs() for part in collected), refused, failed)


def _report(
    bundle: Bundle,
    images: ParityImages,
    selection: Selection,
    descriptions: Sequence[EngineDescription],
    seen: Seen,
    operating_point: OperatingPoint | None,
    stamp: str | None,
) -> ParityReport:
    manifest = bundle.manifest
    point = operating_point or manifest.operating_point()
    judgement = judged(bundle, seen.images, seen.outputs, descriptions[1:], selection.chosen, point)
    return ParityReport(
        bundle=BundleIdentity(manifest.name, manifest.version, bundle.sha256),
        released=manifest.released,
        models={
            precision: manifest.files[manifest.models[precision].file].sha256
            for precision in dict.fromkeys(candidate.precision for candidate in selection.chosen)
        },
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        reference=descriptions[0],
        temperature=manifest.temperature,
        operating_point=point,
        sources=tuple(
            DataSource(_short(source.path), source.sha256, source.where, len(source.images))
            for source in images.sources
        ),
        images=seen.images,
        reference_outputs=seen.outputs[0],
        calibration_slope=judgement.calibration_slope,
        comparisons=judgement.comparisons,
        unavailable=selection.unavailable,
        refused=seen.refused,
        failed=seen.failed,
        unlabelled=judgement.unlabelled,
        stamp=stamp,
        machine=this_machine(),
    )
