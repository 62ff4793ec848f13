"""From a site's labelled images to the site's bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cxr_edge
from calibration.site import SiteFit, check_enough, fit_site
from cxr_edge.bundle import Bundle, Manifest, open_bundle
from cxr_edge.data_use import SEEN_STAMP, DataUse, footprint
from cxr_edge.evaluation.parity import report_json
from cxr_edge.labels import read_labels
from export.bundle_writer import check_replaceable, write_bundle
from export.evidence import PARITY_FILE, finite_only, without_draft
from export.parity_gate import GateOutcome
from export.site.card import render_site_card
from export.site.figures import site_json
from export.site.measurement import SiteMeasurement, measure_site
from export.site.options import SiteOptions, site_name, site_version
from export.site.parity import SiteParity, judged_for_site
from export.site.recorded import recorded_parity
from export.site.text import site_text

__all__ = ["PARENT_PARITY_FILE", "SITE_ROLE", "SiteReport", "fit_site_bundle"]

SITE_ROLE = "site"
"""Role of the site's images in ``data_use``: they fitted temperature and thresholds, and are no evidence any more."""

PARENT_PARITY_FILE = "parent-parity.json"


@dataclass(frozen=True, slots=True, eq=False)
class SiteReport:
    """What a fit for a site did.

    Attributes:
        destination: the new bundle.
        manifest: what it says of itself, without the list of its files.
        fit: temperature, operating points and figures.
        measured: what they were fitted on.
        gate: parity at the new temperature and threshold; None where there is nothing to compare with FP32 here.
        unreleased: why the bundle is marked as not released; empty where it is released.
    """

    destination: Path
    manifest: Manifest
    fit: SiteFit
    measured: SiteMeasurement
    gate: GateOutcome | None
    unreleased: tuple[str, ...]


def fit_site_bundle(
    options: SiteOptions,
    *,
    on_step: Callable[[str], None] = lambda step: None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> SiteReport:
    """Fit temperature and operating points on a site's images and write the site's bundle.

    Args:
        options: what is fitted on what.
        on_step: told what is being done.
        on_image: told how many images are done, and of how many.

    Raises:
        DatasetError: too few images of a class, labels missing, or images that cannot be opened.
        SeenDataError: the bundle has seen some of the images.
        CheckFailedError: the parity gate does not hold at the new temperature and threshold, and ``force`` is not set.
        UsageError: a site or bundle that cannot be fitted for.
        OutputError: something is at the destination already, or it can't be written.
    """
    check_replaceable(options.destination, force=options.replace)
    parent = open_bundle(options.bundle)
    version = site_version(parent.manifest, site_name(options))
    labels = read_labels(options.data, options.where)
    check_enough(labels.labels().tolist())
    on_step(f"classifying {len(labels.images)} images with FP32 and every engine that runs here")
    measured = measure_site(parent, labels, threads=options.threads, allow_seen=options.allow_seen, on_image=on_image)
    on_step("fitting temperature and operating points")
    before = parent.manifest
    fit = fit_site(measured.predictions, options.rules, before.temperature, before.operating_points)
    manifest = fitted_manifest(parent, version, fit, measured)
    parity = site_parity(parent, manifest, fit, measured)
    gate = None if parity is None else GateOutcome(parity.report)
    if gate is not None and not options.force:
        gate.require()
    unreleased = reasons_against_release(parent.manifest, fit, measured, gate)
    models = gate.entries(manifest.models) if gate is not None else reference_only(manifest)
    manifest = replace(manifest, models=models, released=not unreleased)
    files, manifest = with_evidence(parent, manifest, site_name(options), fit, measured, parity, unreleased)
    licences = {name: entry.licence for name, entry in parent.manifest.files.items() if entry.licence is not None}
    write_bundle(options.destination, manifest, files, licences=licences, force=options.replace)
    return SiteReport(options.destination, manifest, fit, measured, gate, unreleased)


def fitted_manifest(parent: Bundle, version: str, fit: SiteFit, measured: SiteMeasurement) -> Manifest:
    """The parent's manifest with what the fit changes; evidence and release are decided later."""
    seen = DataUse.from_json(dict(parent.manifest.data_use)).with_role(SITE_ROLE, footprint(measured.images))
    return replace(
        parent.manifest,
        version=version,
        created=datetime.now(timezone.utc).date().isoformat(),
        cxr_edge_version=cxr_edge.__version__,
        temperature=fit.temperature.value,
        operating_points=fit.points,
        default_operating_point=fit.points[0].name,
        data_use=seen.to_json(),
        files={},
    )


def site_parity(parent: Bundle, manifest: Manifest, fit: SiteFit, measured: SiteMeasurement) -> SiteParity | None:
    """Parity at the new temperature and threshold; None where nothing runs here beside the reference."""
    if measured.parity is None:
        return None
    recorded = recorded_parity(parent, footprint(measured.images).images)
    line = fit.temperature.quality.line
    slope = None if line is None else line.slope
    return judged_for_site(measured.parity, recorded, manifest, slope)


def reference_only(manifest: Manifest) -> dict[str, Any]:
    """The models where nothing was compared: of the engines that passed for the parent, the reference alone stays."""
    return {
        precision: replace(
            entry, parity_passed=tuple(e for e in entry.parity_passed if (e, precision) == ("onnxruntime", "fp32"))
        )
        for precision, entry in manifest.models.items()
    }


def reasons_against_release(
    parent: Manifest, fit: SiteFit, measured: SiteMeasurement, gate: GateOutcome | None
) -> tuple[str, ...]:
    """Why the new bundle must not count as released; empty where nothing speaks against it."""
    reasons = []
    if not parent.released:
        reasons.append("its parent is not released")
    if measured.stamp == SEEN_STAMP:
        reasons.append("its parent had seen some of the images that it was fitted on")
    if fit.auc.low <= 0.5:
        reasons.append(f"it is not shown to tell abnormal from normal images of this site (AUC {fit.auc})")
    if fit.temperature.kept == "contradicted":
        reasons.append("no temperature fits this site's images: its probabilities are the parent's, and wrong here")
    if gate is not None:
        reasons += [f"parity: {fault}" for fault in gate.faults]
    return tuple(reasons)


def with_evidence(
    parent: Bundle,
    manifest: Manifest,
    site: str,
    fit: SiteFit,
    measured: SiteMeasurement,
    parity: SiteParity | None,
    unreleased: tuple[str, ...],
) -> tuple[dict[str, bytes | Path], Manifest]:
    """The files of the new bundle, and its manifest with its evidence."""
    replaced = {PARITY_FILE, parent.manifest.model_card}
    files: dict[str, bytes | Path] = {
        name: parent.file_bytes(name) for name in parent.manifest.files if name not in replaced
    }
    evidence: dict[str, Any] = {"site": finite_only(site_json(site, fit, measured)), "parent": parent_evidence(parent)}
    if PARITY_FILE in parent.manifest.files:
        files[PARENT_PARITY_FILE] = parent.file_bytes(PARITY_FILE)
    if parity is not None:
        files[PARITY_FILE], evidence["parity"] = parity_record(parent, parity, measured)
    manifest = replace(manifest, evidence=evidence)
    parent_card = parent.file_bytes(parent.manifest.model_card).decode(errors="replace")
    card = render_site_card(manifest, evidence["site"], site_text(fit, measured), parent_card, unreleased)
    return {**files, manifest.model_card: card.encode()}, manifest


def parent_evidence(parent: Bundle) -> dict[str, Any]:
    """Everything that the parent said for itself, under a name that cannot be taken for the site's."""
    manifest = parent.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": parent.sha256,
        "released": manifest.released,
        "temperature": manifest.temperature.value,
        "operating_points": [point.to_json() for point in manifest.operating_points],
        "default_operating_point": manifest.default_operating_point,
        "parity_record": PARENT_PARITY_FILE if PARITY_FILE in manifest.files else None,
        "evidence": dict(manifest.evidence),
    }


def parity_record(parent: Bundle, parity: SiteParity, measured: SiteMeasurement) -> tuple[bytes, Mapping[str, Any]]:
    """The parity file with the site's images by hash, and its summary for the manifest.

    An image's logits are the reference's, then those of the comparisons that were measured here.
    """
    assert measured.parity is not None
    entry = parent.manifest.files.get(PARITY_FILE)
    summary = finite_only(without_draft(parity.to_json(entry.sha256 if entry else None)))
    images = report_json(measured.parity, named=False)["images"]
    data = (json.dumps({**summary, "images": finite_only(images)}, allow_nan=False) + "\n").encode()
    return data, {**summary, "record": {"file": PARITY_FILE, "sha256": hashlib.sha256(data).hexdigest()}}
