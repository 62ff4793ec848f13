"""The FP32 model that every scheme of a study starts from, with what turns its logits into decisions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from cxr_edge.bundle import MANIFEST_NAME, open_bundle
from cxr_edge.data_use import DataUse
from cxr_edge.errors import BundleError, DatasetError
from cxr_edge.gate import GateSpec
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.probability import OperatingPoint, Temperature
from cxr_edge.regions import Localiser

__all__ = ["Subject", "open_subject"]

INT8_ROLES = frozenset({"int8-ranges"})
"""What only the bundle's own INT8 model has seen: a study chooses its own range images, so it isn't bound by these."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to quantise.

    Attributes:
        name: for headings, such as ``"cxr-edge 1"``.
        fp32: the ONNX file's bytes.
        preprocess: what the network is shown.
        gate: thresholds of the input gate.
        temperature: probability calibration, fitted on FP32 and the same for every scheme.
        operating_point: decides for every scheme.
        data_use: what the weights, the temperature and the thresholds have seen.
        release_fold: fold that no part of the model saw; None where the source doesn't say.
        localiser: finds the lungs where the network must see them.
    """

    name: str
    fp32: bytes
    preprocess: PreprocessSpec
    gate: GateSpec
    temperature: Temperature
    operating_point: OperatingPoint
    data_use: DataUse
    release_fold: str | None
    localiser: Localiser | None = None

    @property
    def sha256(self) -> str:
        """Of the FP32 file, hexadecimal."""
        return hashlib.sha256(self.fp32).hexdigest()


def open_subject(path: Path) -> Subject:
    """The model of a bundle, or the release model of a training run, which needs torch.

    Raises:
        BundleError: a bundle that is damaged.
        DatasetError: neither a bundle nor a finished run with a release fold.
    """
    if (path / MANIFEST_NAME).is_file():
        return subject_of_bundle(path)
    if (path / "run.json").is_file():
        return subject_of_run(path)
    raise DatasetError(f"{path} is neither a bundle ({MANIFEST_NAME}) nor a training run (run.json)")


def subject_of_bundle(path: Path) -> Subject:
    """The FP32 model of a bundle with its calibration."""
    bundle = open_bundle(path)
    manifest = bundle.manifest
    use = DataUse.from_json(dict(manifest.data_use))
    return Subject(
        name=f"{manifest.name} {manifest.version}",
        fp32=bundle.model_bytes("fp32"),
        preprocess=manifest.preprocess,
        gate=GateSpec.from_json(dict(manifest.gate)),
        temperature=manifest.temperature,
        operating_point=manifest.operating_point(),
        data_use=DataUse({role: seen for role, seen in use.roles.items() if role not in INT8_ROLES}),
        release_fold=None,
        localiser=bundle.open_localiser(),
    )


def subject_of_run(path: Path) -> Subject:
    """The release model of a run, calibrated on its out-of-fold predictions as an export does it.

    Raises:
        DatasetError: the run is unfinished, has no release fold, or doesn't say what its model has seen.
    """
    from calibration.probability import fit_temperature
    from cxr_edge.evaluation.recipe import OUT_OF_FOLD, OutOfFold
    from export.draft import localiser_of_run, operating_points, release_member, release_run
    from export.onnx_graph import build_fp32
    from training.checkpoints import load_checkpoint

    run = release_run(path)
    member, spec = release_member(run), run.config.preprocess
    network = load_checkpoint(run.model_path(member)).model
    development = OutOfFold.read(run.directory / OUT_OF_FOLD).without_fold(str(run.release_fold))
    return Subject(
        name=f"release model of {path.name}",
        fp32=build_fp32(network, spec.height, spec.width).SerializeToString(),
        preprocess=spec,
        gate=GateSpec(),
        temperature=fit_temperature(development.labels, development.logits, development.patients).temperature,
        operating_point=operating_points(development)[0],
        data_use=seen_by(run.directory / member / "data_use.json"),
        release_fold=run.release_fold,
        localiser=localiser_of_run(run),
    )


def seen_by(path: Path) -> DataUse:
    """What a run's member has seen."""
    try:
        return DataUse.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, BundleError) as error:
        raise DatasetError(f"{path} does not say what the model has seen ({error}); train it again") from error
