"""Running a study: each scheme is built, run and put on record before the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import cxr_edge
from cxr_edge.errors import CxrEdgeError, EngineError
from cxr_edge.evaluation.parity import Outputs
from export.half import emulated_fp16
from export.study.figures import Figures, SchemeRecord, StudyHeader, auc_of, figures
from export.study.images import ParityInputs, described, read_parity_inputs, read_range_inputs
from export.study.material import Material
from export.study.record import FORMAT, StudyRecord
from export.study.runtimes import openvino_installed, run_onnxruntime, run_openvino
from export.study.schemes import Scheme
from export.study.subject import Subject, open_subject

__all__ = ["StudyOptions", "run_study"]

LIBRARIES = ("numpy", "onnx", "onnxruntime", "openvino", "nncf")


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """What is studied.

    Attributes:
        source: a bundle or a training run.
        range_data: label file that range images are chosen from, with filters behind ``@``.
        parity_data: label files of unseen images, likewise.
        output: the record to write or go on with.
        limit: only so many images of each parity label file; None for all.
        openvino: also run on OpenVINO where it is installed.
        threads: of each runtime; 0 leaves the choice to it.
    """

    source: Path
    range_data: str
    parity_data: tuple[str, ...]
    output: Path
    limit: int | None = None
    openvino: bool = True
    threads: int = 0


def run_study(
    options: StudyOptions, chosen: Sequence[Scheme], on_step: Callable[[str], None] = lambda step: None
) -> StudyRecord:
    """The finished record; schemes that are on record already are not measured again.

    A scheme that cannot be built, or that a runtime fails to run, is recorded with the reason, and the others go on.

    Args:
        options: what is studied.
        chosen: the schemes to measure.
        on_step: told what is being done.

    Raises:
        SeenDataError: parity images that the model has seen, or range images that are also evaluated.
        UsageError: the output is the record of another study.
        DatasetError: images that cannot be used.
        OutputError: the record cannot be written.
    """
    subject = open_subject(options.source)
    on_step(f"reading the unseen images of {', '.join(options.parity_data)}")
    images = read_parity_inputs(options.parity_data, subject, limit=options.limit, on_image=lambda done: None)
    material = Material(subject, read_range_inputs(options.range_data, subject, images.footprint))
    on_step(f"running FP32 on {len(images.inputs)} images")
    reference = run_onnxruntime(subject.fp32, images.inputs, options.threads)
    bench = Bench(subject, images, reference, options)
    record = StudyRecord.resumed(options.output, bench.header(described(material.images.labels)))
    for number, scheme in enumerate(chosen, start=1):
        if record.measured(scheme.name):
            on_step(f"{number}/{len(chosen)} {scheme.name}: on record already")
            continue
        on_step(f"{number}/{len(chosen)} {scheme.name}: {scheme.title}")
        measured = bench.measured(scheme, material)
        on_step(summary(measured))
        record = record.with_scheme(measured)
        record.write(options.output)
    return record


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What every scheme is measured with."""

    subject: Subject
    images: ParityInputs
    reference: Outputs
    options: StudyOptions

    def header(self, range_source: str) -> StudyHeader:
        """The record's first line."""
        point = self.subject.operating_point
        return StudyHeader(
            format=FORMAT,
            model=self.subject.name,
            model_sha256=self.subject.sha256,
            images=len(self.images.inputs),
            abnormal=int(self.images.labels.sum()),
            images_sha256=self.images.sha256,
            parity_sources=self.images.sources,
            range_source=range_source,
            fp32_auc=auc_of(self.reference, self.images),
            logit_spread=float(np.std(self.reference.logits)),
            temperature=self.subject.temperature.value,
            operating_point=f"{point.name}, logit {point.logit_threshold:.4f}",
            versions=versions(),
        )

    def measured(self, scheme: Scheme, material: Material) -> SchemeRecord:
        """Build a scheme and run it on every runtime; what fails is in the record's ``failures``."""
        model, found, failures = b"", dict[str, Figures](), dict[str, str]()
        try:
            model = scheme.build(material)
            runnable = emulated_fp16(model) if scheme.emulated else model
        except CxrEdgeError as error:
            failures["build"] = str(error)
        else:
            for name, run in self.runtimes(scheme).items():
                result = self.run(run, runnable)
                if isinstance(result, Figures):
                    found[name] = result
                else:
                    failures[name] = result
        return SchemeRecord(
            scheme=scheme.name,
            title=scheme.title,
            family=scheme.family,
            table=scheme.table,
            range_images=scheme.range_images,
            emulated=scheme.emulated,
            bytes=len(model),
            sha256=sha256(model).hexdigest(),
            runtimes=found,
            failures=failures,
        )

    def run(self, run: Callable[..., Outputs], model: bytes) -> Figures | str:
        """A model's figures on one runtime, or why there are none."""
        try:
            outputs = run(model, self.images.inputs, self.options.threads)
        except EngineError as error:
            return str(error)
        return figures(self.reference, outputs, self.images, self.subject)

    def runtimes(self, scheme: Scheme) -> Mapping[str, Callable[..., Outputs]]:
        """Where a scheme runs; emulated FP16 is arithmetic for ONNX Runtime alone."""
        if scheme.emulated or not self.options.openvino or not openvino_installed():
            return {"onnxruntime": run_onnxruntime}
        return {"onnxruntime": run_onnxruntime, "openvino": run_openvino}


def versions() -> dict[str, str]:
    """Versions of what makes and runs the models, of those that are installed."""
    installed = (name for name in LIBRARIES if find_spec(name) is not None)
    return {"cxr-edge": cxr_edge.__version__, **{name: metadata.version(name) for name in installed}}


def summary(record: SchemeRecord) -> str:
    """One line about a scheme for whoever watches."""
    parts = [
        f"{name}: p99 {f.p99_probability:.4f}, max {f.max_probability:.4f}, {f.flips} flips, "
        f"RMS Δlogit {f.rms_logit_share:.1%}"
        for name, f in record.runtimes.items()
    ]
    parts += [f"{name} failed: {reason}" for name, reason in record.failures.items()]
    return "    " + "; ".join(parts)
