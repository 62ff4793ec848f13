"""Parity at a site's temperature and thresholds: they change every Δp and every flip, and no Δlogit.

Each engine is judged on the site's images, where it runs on this machine, pooled with the images of the parent's
parity record: a site's few dozen images cannot show non-inferiority alone, and the record speaks for engines that are
not here. The record holds no patients, so that its images count as independent, and no maps: of two medians of map
correlation the lower one counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_edge.bundle import Manifest
from cxr_edge.engines import EngineDescription
from cxr_edge.errors import DatasetError
from cxr_edge.evaluation import Predictions
from cxr_edge.evaluation.parity import (
    Comparison,
    Outputs,
    ParityReport,
    agreement,
    checks,
    inferiority,
    summary_json,
    tolerances_of,
)
from cxr_edge.evaluation.parity.inferiority import Inferiority
from cxr_edge.evaluation.parity.report import DataSource
from cxr_edge.evaluation.parity.tolerances import artefact_of, loosened
from cxr_edge.probability import Interval
from export.site.recorded import Recorded

__all__ = ["SiteParity", "judged_for_site"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SiteParity:
    """Parity of a site's bundle.

    Attributes:
        report: with the site's temperature and default operating point, and a comparison for each engine and precision
            over its pooled images; its own images are the site's.
        measured_here: how many comparisons, the first ones, were measured on the site's images too.
        recorded: the parent's record; None where there is none.
    """

    report: ParityReport
    measured_here: int
    recorded: Recorded | None

    def to_json(self, parent_record_sha256: str | None) -> dict[str, Any]:
        """A summary, JSON-ready, in the form of other bundles' parity evidence."""
        summary = summary_json(self.report)
        abnormal, compared = int(summary["abnormal"]), int(summary["compared"])
        if self.recorded is not None:
            fresh = self.recorded.fresh
            images = int(fresh.sum())
            abnormal, compared = abnormal + int(self.recorded.labels[fresh].sum()), compared + images
            source = DataSource("parity record of the parent", parent_record_sha256 or "", (), images)
            summary["data"].append(asdict(source))
        return {**summary, "abnormal": abnormal, "compared": compared, "measured_here": self.measured_here}


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """One engine's logits beside FP32's, over the images of both sources that it was measured on."""

    engine: EngineDescription
    emulated: bool
    labels: NDArray[np.int64]
    patients: tuple[str, ...]
    reference: Floats
    candidate: Floats
    cam_median_r: float
    cam_same_peak: float


def judged_for_site(
    report: ParityReport, recorded: Recorded | None, manifest: Manifest, slope: Interval | None
) -> SiteParity:
    """Every engine and precision held against the limits at the site's temperature and default operating point.

    Args:
        report: measured with the parent's bundle on the site's images.
        recorded: of the parent.
        manifest: of the new bundle: models, limits, temperature, operating points.
        slope: calibration slope on the site's images, cross-fitted; None where it does not exist.

    Raises:
        DatasetError: the reference gives all images the same logit.
    """
    here = [_pooled_here(report, comparison, recorded) for comparison in report.comparisons]
    elsewhere = list(_recorded_only(report, recorded))
    judged = tuple(_judged(pool, manifest, slope) for pool in (*here, *elsewhere))
    again = replace(
        report,
        temperature=manifest.temperature,
        operating_point=manifest.operating_point(),
        calibration_slope=slope,
        comparisons=judged,
    )
    return SiteParity(again, len(here), recorded)


def _pooled_here(report: ParityReport, comparison: Comparison, recorded: Recorded | None) -> Pooled:
    labels = report.labels
    assert labels is not None  # a fit needs them all
    found = comparison.agreement
    site = Pooled(
        engine=comparison.engine,
        emulated=comparison.emulated,
        labels=labels,
        patients=tuple(f"{image.dataset}/{image.patient_id}" for image in report.images),
        reference=report.reference_outputs.logits,
        candidate=comparison.outputs.logits,
        cam_median_r=found.cam_median_r,
        cam_same_peak=found.cam_same_peak,
    )
    twin = next((part for part in _parts(recorded) if _key(part) == _key(site)), None)
    return site if twin is None or recorded is None else _joined(site, twin, recorded.fresh)


def _recorded_only(report: ParityReport, recorded: Recorded | None) -> Iterator[Pooled]:
    """What the record holds of engines that were not measured here."""
    here = {(comparison.engine.name, comparison.engine.precision) for comparison in report.comparisons}
    return (part for part in _parts(recorded) if _key(part) not in here)


def _parts(recorded: Recorded | None) -> Iterator[Pooled]:
    if recorded is None:
        return
    patients = tuple(f"recorded image {number}" for number in range(recorded.labels.size))
    for own in recorded.engines:
        yield Pooled(
            engine=own.engine,
            emulated=own.emulated,
            labels=recorded.labels,
            patients=patients,
            reference=recorded.reference,
            candidate=own.logits,
            cam_median_r=own.cam_median_r,
            cam_same_peak=own.cam_same_peak,
        )


def _key(part: Pooled) -> tuple[str, str]:
    return part.engine.name, part.engine.precision


def _joined(site: Pooled, recorded: Pooled, fresh: NDArray[np.bool_]) -> Pooled:
    """Both sources, an image that both have counting once: as it was measured here."""
    images, more = site.labels.size, int(fresh.sum())
    return replace(
        site,
        labels=np.concatenate([site.labels, recorded.labels[fresh]]),
        patients=site.patients + tuple(itertools.compress(recorded.patients, fresh)),
        reference=np.concatenate([site.reference, recorded.reference[fresh]]),
        candidate=np.concatenate([site.candidate, recorded.candidate[fresh]]),
        cam_median_r=min(site.cam_median_r, recorded.cam_median_r),
        cam_same_peak=(images * site.cam_same_peak + more * recorded.cam_same_peak) / (images + more),
    )


def _judged(pool: Pooled, manifest: Manifest, slope: Interval | None) -> Comparison:
    artefact = artefact_of(pool.engine.name, pool.engine.precision)
    tolerances = tolerances_of(manifest.models[pool.engine.precision], artefact)
    point = manifest.operating_point()
    outputs = _without_maps(pool.candidate)
    found = replace(
        agreement(_without_maps(pool.reference), outputs, manifest.temperature, point),
        cam_median_r=pool.cam_median_r,
        cam_same_peak=pool.cam_same_peak,
    )
    worse, missing = _inferiority(pool, manifest)
    return Comparison(
        engine=pool.engine,
        emulated=pool.emulated,
        tolerances=tolerances,
        loosened=loosened(tolerances, artefact),
        outputs=outputs,
        agreement=found,
        inferiority=worse,
        checks=checks(found, tolerances, worse, slope, missing),
    )


def _without_maps(logits: Floats) -> Outputs:
    """Logits as outputs whose maps are empty pictures: the figures of the true maps are put in afterwards."""
    return Outputs.of(logits, np.zeros((logits.size, 1, 1), np.float32))


def _inferiority(pool: Pooled, manifest: Manifest) -> tuple[Inferiority | None, str]:
    predictions = Predictions.of(pool.labels, pool.reference, pool.patients)
    try:
        return inferiority(predictions, pool.candidate, manifest.operating_point()), ""
    except DatasetError as error:  # one class, or a class with one patient
        return None, str(error)
