"""A record made small enough for the repository: rounds pooled, repetitions as quantiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.record import Record
from cxr_edge.errors import UsageError

__all__ = ["MAX_BYTES", "published"]

QUANTILES = 101
DECIMALS = 4
"""Of milliseconds: a tenth of a microsecond, finer than the clock."""

MAX_BYTES = 200_000
"""Largest record that belongs into a git repository."""


def published(record: Record, name: str) -> Record:
    """The record under a name of its own, one line a cell; summaries are those of all repetitions.

    Raises:
        UsageError: the record has no cell.
    """
    if not record.measurements:
        raise UsageError(f"{record.name} has no cell to publish: measure first")
    return replace(record, name=name, measurements=tuple(map(shortened, record.pooled())))


def shortened(measurement: Measurement) -> Measurement:
    """The measurement with at most 101 evenly spaced quantiles, from the fastest to the slowest."""
    times = np.sort(np.asarray(measurement.repetitions_ms))
    if len(times) > QUANTILES:
        times = np.quantile(times, np.linspace(0, 1, QUANTILES))
    return replace(measurement, repetitions_ms=tuple(round(float(ms), DECIMALS) for ms in times), thinned=True)
