"""Reading ``manifest.json``: every field typed and bounded, and all parts checked against each other."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from cxr_edge.bundle.entries import FILE_NAME, MODEL_NAME, PRECISIONS, FileEntry, Golden, ModelEntry
from cxr_edge.bundle.fields import Fields
from cxr_edge.bundle.manifest import MANIFEST_NAME, SCHEMA, Manifest
from cxr_edge.bundle.strict_json import parse_strict
from cxr_edge.errors import BundleError
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.probability import OperatingPoint, Temperature

__all__ = ["read_manifest"]

MAX_FILES = 64
DEVICES = ("cpu", "cuda")
VERSION = r"[0-9A-Za-z][0-9A-Za-z.+-]{0,63}"


def read_manifest(data: bytes) -> Manifest:
    """The manifest that the bytes of ``manifest.json`` hold; the files it lists are not looked at.

    Raises:
        BundleError: not strict JSON, a newer schema, a field that is missing, unknown or out of range, or parts that
            contradict each other.
    """
    fields = Fields(parse_strict(data, MANIFEST_NAME), MANIFEST_NAME)
    schema = _schema(fields)
    manifest = Manifest(
        name=fields.text("name"),
        version=fields.text("version", VERSION),
        created=_date(fields.text("created")),
        cxr_edge_version=fields.text("cxr_edge_version", VERSION),
        released=fields.boolean("released"),
        files=_files(fields.mapping("files")),
        models=_models(fields.mapping("models"), schema),
        default_precision=_default_precision(fields.mapping("default_precision")),
        outputs=fields.texts("outputs"),
        preprocess=_preprocess(fields.mapping("preprocess")),
        localiser=fields.optional_text("localiser", MODEL_NAME),
        gate=fields.mapping("gate"),
        temperature=Temperature(fields.number("temperature")),
        operating_points=tuple(OperatingPoint.from_json(point) for point in fields.items("operating_points")),
        default_operating_point=fields.text("default_operating_point"),
        golden=Golden.from_json(fields.take("golden"), f"{MANIFEST_NAME}: golden"),
        model_card=fields.text("model_card", FILE_NAME),
        evidence=fields.mapping("evidence"),
        data_use=fields.mapping("data_use"),
    )
    fields.finish()
    _check_localiser(manifest)
    _check_files_are_listed(manifest)
    _check_choices_exist(manifest)
    _check_golden_covers_models(manifest)
    return manifest


def _schema(fields: Fields) -> int:
    schema = fields.integer("schema", 1, 1_000_000)
    if schema > SCHEMA:
        needed = fields.text("cxr_edge_version", VERSION)
        raise BundleError(
            f"the bundle has manifest schema {schema}, this version reads schema {SCHEMA} at most: "
            f"it needs cxr-edge {needed} or later"
        )
    return schema


def _date(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise BundleError(
            f"{MANIFEST_NAME}.created must be an ISO date like 2026-01-31; it is {text[:80]!r}"
        ) from error


def _files(value: Mapping[str, Any]) -> dict[str, FileEntry]:
    if len(value) > MAX_FILES:
        raise BundleError(f"{MANIFEST_NAME}.files lists {len(value)} files; at most {MAX_FILES} are allowed")
    # Names that differ only in case would be one file where the file system ignores case.
    seen = {MANIFEST_NAME}
    files = {}
    for name, entry in value.items():
        if not re.fullmatch(FILE_NAME, name):
            raise BundleError(
                f"{MANIFEST_NAME}.files lists {name[:80]!r}: a bundle holds plain file names only, "
                "no folders, no '..', no absolute paths"
            )
        if name.lower() in seen:
            raise BundleError(f"{MANIFEST_NAME}.files lists {name!r}, which another name equals when case is ignored")
        seen.add(name.lower())
        files[name] = FileEntry.from_json(entry, f"{MANIFEST_NAME}: files.{name}", name)
    return files


def _models(value: Mapping[str, Any], schema: int) -> dict[str, ModelEntry]:
    if not value:
        raise BundleError(f"{MANIFEST_NAME}.models is empty")
    for precision in value:
        if precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise BundleError(f"{MANIFEST_NAME}.models has precision {precision[:80]!r}; this version knows {known}")
    return {
        precision: ModelEntry.from_json(model, f"{MANIFEST_NAME}: models.{precision}", schema)
        for precision, model in value.items()
    }


def _default_precision(value: Mapping[str, Any]) -> dict[str, str]:
    fields = Fields(value, f"{MANIFEST_NAME}: default_precision")
    chosen = {device: fields.text(device) for device in DEVICES if device in value}
    fields.finish()
    return chosen


def _preprocess(value: Mapping[str, Any]) -> PreprocessSpec:
    fields = Fields(value, f"{MANIFEST_NAME}: preprocess")
    for size in ("height", "width"):
        fields.integer(size, 1, 4096)
    for normalisation in ("mean", "std"):
        fields.number(normalisation, -1e6, 1e6)
    return PreprocessSpec.from_json(dict(value))


def _check_localiser(manifest: Manifest) -> None:
    spec = manifest.preprocess
    if spec.needs_lungs and manifest.localiser is None:
        raise BundleError(f"{MANIFEST_NAME} lacks 'localiser', which preprocess variant {spec.variant!r} needs")
    if manifest.localiser is not None and not spec.needs_lungs:
        raise BundleError(f"{MANIFEST_NAME}.localiser is there, but preprocess variant {spec.variant!r} needs none")


def _check_files_are_listed(manifest: Manifest) -> None:
    models = {file for model in manifest.models.values() for file in model.model_files}
    localiser = () if manifest.localiser is None else (manifest.localiser,)
    wanted = {manifest.golden.frame, manifest.model_card, *localiser, *models}
    for name in sorted(wanted):
        if name not in manifest.files:
            raise BundleError(f"{MANIFEST_NAME} refers to {name!r}, which its files do not list")
    for name, entry in manifest.files.items():
        if entry.role != manifest.role_of(name):
            raise BundleError(f"{MANIFEST_NAME}: files.{name}.role is {entry.role!r}; it is {manifest.role_of(name)!r}")


def _check_choices_exist(manifest: Manifest) -> None:
    if not manifest.outputs:
        raise BundleError(f"{MANIFEST_NAME}.outputs is empty")
    for device, precision in manifest.default_precision.items():
        if precision not in manifest.models:
            raise BundleError(f"{MANIFEST_NAME}.default_precision.{device} is {precision!r}, which models lacks")
    names = [point.name for point in manifest.operating_points]
    if not all(name.isprintable() for name in names):
        raise BundleError(f"{MANIFEST_NAME}.operating_points has a name with characters that cannot be printed")
    if len(set(names)) < len(names):
        raise BundleError(f"{MANIFEST_NAME}.operating_points has a name twice: {', '.join(names)}")
    if manifest.default_operating_point not in names:
        raise BundleError(
            f"{MANIFEST_NAME}.default_operating_point is {manifest.default_operating_point!r}; "
            f"operating_points has {', '.join(names)}"
        )


def _check_golden_covers_models(manifest: Manifest) -> None:
    golden = manifest.golden
    if not set(golden.logit) == set(golden.tolerance) == set(manifest.models):
        raise BundleError(f"{MANIFEST_NAME}.golden must have logit and tolerance for exactly the precisions in models")
    for precision, logits in golden.logit.items():
        if len(logits) != len(manifest.outputs):
            raise BundleError(
                f"{MANIFEST_NAME}.golden.logit.{precision} has {len(logits)} values for {len(manifest.outputs)} outputs"
            )
