"""What was promised of the engine, and whether a record reaches it. A figure that is missing is never guessed."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.native_engine_page.record import EngineRecord, Layers, Opening
from benchmarks.performance_page.targets import Target
from cxr_edge.bench.grid import OWN
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.statistics import summarise

__all__ = ["opening_of", "side_by_side", "targets"]

ONE_CORE, SEVERAL_CORES = 0.80, 0.75
"""Latency against OpenVINO's INT8 at most."""

PEAK_SHARE = 0.85
OPEN_MS, RSS_MB, LIBRARY_KB = 20.0, 40.0, 600.0
FIRST_TO_HUNDREDTH = 1.1
"""What "as fast as" allows: two single inferences differ by some percent on any machine."""

TAIL = 1.2
PERCENTILE_RUNS = 100
KB = 1000


def targets(record: EngineRecord) -> tuple[Target, ...]:
    """Every target in the order of the issue."""
    measured = side_by_side(record)
    counts = sorted({one.cell.threads for one in measured})
    return (
        *(latency_target(measured, threads) for threads in counts),
        peak_target(record.layers),
        *(target for program in ("C", "Python") for target in opening_targets(record, program)),
        memory_target(opening_of(record, "C", 1)),
        library_target(record),
        *(tail_target(measured, threads) for threads in counts),
    )


def side_by_side(record: EngineRecord) -> tuple[Measurement, ...]:
    """The network alone, one measurement an engine and number of threads, all turns together."""
    return tuple(one for one in record.bench.pooled() if one.cell.stage == "infer")


def opening_of(record: EngineRecord, program: str, threads: int) -> Opening | None:
    """What was measured of a program; None where it was not."""
    return next((one for one in record.openings if (one.program, one.threads) == (program, threads)), None)


def latency_target(measured: Sequence[Measurement], threads: int) -> Target:
    """Ours against the shipped INT8 on OpenVINO."""
    limit = ONE_CORE if threads == 1 else SEVERAL_CORES
    ours, theirs = engine_of(measured, "native", threads), engine_of(measured, "openvino", threads)
    what = f"latency, {cores(threads)}: ours / OpenVINO INT8, p50"
    if ours is None or theirs is None:
        return missing(what, f"at most {limit:.2f}")
    return judged(what, f"at most {limit:.2f}", ours.summary.p50_ms / theirs.summary.p50_ms, limit, ".2f")


def peak_target(layers: Sequence[Layers]) -> Target:
    """The whole network's multiply-adds a second against the processor's own."""
    what, aim = "share of the measured VNNI peak, one core, whole network", f"at least {PEAK_SHARE:.0%}"
    one_core = next((one for one in layers if one.threads == 1), None)
    share = one_core.share(one_core.gmac_per_s) if one_core is not None else None
    return missing(what, aim) if share is None else Target(what, aim, f"{share:.0%}", share >= PEAK_SHARE, ())


def opening_targets(record: EngineRecord, program: str) -> tuple[Target, ...]:
    """Opening on all cores, and the first result against the hundredth."""
    threads = max((one.threads for one in record.openings), default=1)
    one = opening_of(record, program, threads)
    opens, first = f"open, {program} program, {cores(threads)}", f"first result / hundredth, {program} program"
    open_aim, first_aim = f"at most {OPEN_MS:g} ms", f"at most {FIRST_TO_HUNDREDTH:.2f}"
    if one is None:
        return missing(opens, open_aim), missing(first, first_aim)
    found = judged(opens, open_aim, summarise(one.open_ms).p50_ms, OPEN_MS, ".1f", " ms")
    if len(one.inference_ms) < PERCENTILE_RUNS:
        return found, missing(first, first_aim)
    ratio = summarise(one.first_ms).p50_ms / summarise(one.inference_ms[PERCENTILE_RUNS - 1 :]).p50_ms
    return found, judged(first, first_aim, ratio, FIRST_TO_HUNDREDTH, ".2f")


def memory_target(one: Opening | None) -> Target:
    """A C program's resident memory."""
    what, aim = "resident memory, C program, one thread", f"at most {RSS_MB:g} MB"
    return (
        missing(what, aim) if one is None or one.rss_mb is None else judged(what, aim, one.rss_mb, RSS_MB, ".1f", " MB")
    )


def library_target(record: EngineRecord) -> Target:
    """The extension as it is installed, with preprocessing and everything else in it."""
    what, aim = "shared library as installed, preprocessing included", f"at most {LIBRARY_KB:g} kB"
    if record.library is None:
        return missing(what, aim)
    return judged(what, aim, record.library.as_installed / KB, LIBRARY_KB, ".0f", " kB")


def tail_target(measured: Sequence[Measurement], threads: int) -> Target:
    """p99 against p50; with fewer than 100 repetitions p99 would be the slowest of them."""
    what, aim = f"p99 / p50, {cores(threads)}", f"at most {TAIL:g}"
    ours = engine_of(measured, "native", threads)
    if ours is None or ours.summary.n < PERCENTILE_RUNS:
        return missing(what, aim)
    return judged(what, aim, ours.summary.p99_ms / ours.summary.p50_ms, TAIL, ".2f")


def engine_of(measured: Sequence[Measurement], engine: str, threads: int) -> Measurement | None:
    """Our library's figures of an engine."""
    wanted = (OWN, engine, threads)
    return next((one for one in measured if (one.cell.way, one.cell.engine, one.cell.threads) == wanted), None)


def cores(threads: int) -> str:
    """How many, in words."""
    return "one core" if threads == 1 else f"{threads} cores"


def judged(what: str, aim: str, value: float, limit: float, form: str, unit: str = "") -> Target:
    """A value that must not exceed the limit."""
    return Target(what, aim, f"{value:{form}}{unit}", value <= limit, ())


def missing(what: str, aim: str) -> Target:
    """A target whose figures the record lacks."""
    return Target(what, aim, None, None, ())
