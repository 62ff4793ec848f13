"""The cells of the run that the performance page is made from: ours and the peers', in one order."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.peers.table import PEERS
from cxr_edge.bench.grid import OWN, STAGES, Grid
from cxr_edge.bench.models import Models
from cxr_edge.bench.record import SkippedCell
from cxr_edge.bench.run import Job
from cxr_edge.bench.sample_bytes import FRAME
from cxr_edge.bench.samples import Sample
from cxr_edge.bench.session import jobs_of
from cxr_edge.bundle import Manifest

__all__ = ["INPUTS", "all_jobs", "chosen_model"]

INPUTS = ("frame", "png", "jpeg", "dicom", "dicom-jpeg2000")
PEER_COMMAND = (sys.executable, "-m", "benchmarks.peers.child")


def chosen_model(models: Models, manifest: Manifest) -> tuple[str, str]:
    """The engine and precision that ``auto`` would take: the first in the table with the bundle's default precision."""
    default = manifest.default_precision.get("cpu")
    return next((pair for pair in models.available if pair[1] == default), models.available[0])


def all_jobs(
    models: Models, manifest: Manifest, samples: Sequence[Sample], threads: int
) -> tuple[tuple[Job, ...], tuple[SkippedCell, ...]]:
    """Every cell, ours beside the peers of the same stage, and the peers that cannot run here.

    The grid is cut to what the page shows: every model on the raw frame, the other inputs and the fresh processes on
    the chosen model alone. Networks and pipelines get every core, the resizers one thread and every core.
    """
    own = own_jobs(models, manifest, tuple(samples), threads)
    peers, skipped = peer_jobs(samples, threads)
    jobs = sorted((*own, *peers), key=lambda job: (STAGES.index(job.cell.stage), job.cell.way != OWN))
    return tuple(jobs), skipped


def own_jobs(models: Models, manifest: Manifest, samples: tuple[Sample, ...], threads: int) -> tuple[Job, ...]:
    """This library's cells."""
    raw = tuple(sample for sample in samples if sample.input == FRAME)
    files = tuple(sample for sample in samples if sample.input != FRAME)
    dicom = tuple(sample for sample in samples if sample.input == "dicom")
    raster = tuple(sample for sample in samples if sample.input in ("png", "jpeg"))
    chosen = (chosen_model(models, manifest),) if models.available else ()
    counts = tuple(sorted({1, threads}))
    grids = (
        Grid((), counts, (1,), (1,), samples, ("import", "decode")),
        Grid((), counts, (1,), (1,), raw, ("preprocess",)),
        Grid(models.available, (threads,), (1,), (1,), raw, ("infer", "end-to-end")),
        Grid(chosen, (threads,), (1,), (1,), files, ("end-to-end",)),
        Grid(chosen, (threads,), (1,), (1,), dicom, ("one-shot",)),
        Grid(chosen, (threads,), (1,), (1,), raster, ("folder",)),
    )
    return tuple(job for grid in grids for job in jobs_of(grid.cells(), samples))


def peer_jobs(samples: Sequence[Sample], threads: int) -> tuple[tuple[Job, ...], tuple[SkippedCell, ...]]:
    """The peers' cells, and those whose packages are missing."""
    by_kind = {sample.input: sample for sample in samples}
    jobs: dict[Job, None] = {}
    skipped = []
    for peer in PEERS:
        sample = by_kind.get(peer.input)
        if peer.missing():
            reason = f"not installed: pip install {' '.join(peer.missing())}"
            skipped.append(SkippedCell(f"{peer.way}, {peer.stage}", reason))
            continue
        for count in sorted({1, threads}) if peer.stage == "preprocess" else (threads,):
            cell = peer.cell(count, sample.frame if sample else None)
            jobs[Job(cell, sample.path if sample else None, PEER_COMMAND)] = None
    return tuple(jobs), tuple(skipped)
