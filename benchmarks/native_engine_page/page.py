"""The generated section of docs/native-engine.md: machine, targets, roofline, side by side, opening."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.native_engine_page.record import EngineRecord, Layers, Opening
from benchmarks.native_engine_page.targets import cores, side_by_side, targets
from benchmarks.performance_page.page import machine_text, markdown
from cxr_edge.bench.grid import OWN
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.statistics import summarise
from cxr_edge.bench.table import significant
from cxr_edge.errors import UsageError

__all__ = ["BEGIN", "END", "section_text", "with_section"]

BEGIN = "<!-- Made by `python -m benchmarks.native_engine_page`; change the command, not what follows. -->"
END = "<!-- End of what is made. -->"

VERDICTS = {True: "met", False: "**not met**", None: "not measured"}


def with_section(page: str, section: str) -> str:
    """The page with what stands between the two marks replaced.

    Raises:
        UsageError: the marks are not there, once each and in order.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise UsageError(f"the page needs the lines {BEGIN!r} and {END!r}, once each, around the section")
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{section}\n{END}{rest.split(END)[1]}"


def section_text(parts: Sequence[tuple[EngineRecord, str | None]]) -> str:
    """The section.

    Args:
        parts: records, each with its picture's path relative to the page, None where it has none.
    """
    return "\n".join(record_text(record, picture) for record, picture in parts)


def record_text(record: EngineRecord, picture: str | None) -> str:
    """One record's part."""
    bench = record.bench
    parts = [
        f"### {bench.machine.cpu}, {bench.machine.usable_cores} cores\n",
        f"Record: [{bench.name}](../benchmarks/records/native-engine/{bench.name})\n",
        machine_text(bench.machine, bench),
        target_table(record),
        *([f"![Share of the measured peak]({picture})\n"] if picture else []),
        *(roofline(layers) for layers in record.layers),
        *([latency_table(side_by_side(record))] if bench.measurements else []),
        *([opening_table(record.openings)] if record.openings else []),
        library_text(record),
        *(f"- not measured: {gap.what}: {gap.reason}" for gap in bench.skipped),
    ]
    return "\n".join(part for part in parts if part)


def target_table(record: EngineRecord) -> str:
    """Target, aim, figure, verdict."""
    rows = [(row.what, row.aim, row.reached or "", VERDICTS[row.met]) for row in targets(record)]
    return markdown(("target", "aim", "reached", ""), rows)


def roofline(layers: Layers) -> str:
    """Each kind of operation beside the processor's peak; times are of the clock on the wall."""
    peak = layers.vnni_peak_gmac_per_s
    told = f"measured peak {significant(peak)} GMAC/s" if peak > 0 else "no VNNI peak to compare with"
    rows = [
        (
            kind.kind,
            f"{kind.mmac:,.1f}",
            *map(significant, (kind.us / 1e3, kind.gmac_per_s)),
            percent(layers, kind.gmac_per_s),
        )
        for kind in layers.kinds
    ]
    whole = (layers.inference_us_median / 1e3, layers.gmac_per_s)
    rows.append(
        ("whole inference", f"{layers.mmac:,.1f}", *map(significant, whole), percent(layers, layers.gmac_per_s))
    )
    title = f"Kinds of operations on {cores(layers.threads)}, kernel `{layers.kernel}`, {told}:\n\n"
    return title + markdown(("operation", "million multiply-adds", "ms", "GMAC/s", "share of peak"), rows)


def latency_table(measured: Sequence[Measurement]) -> str:
    """The engines side by side, the fastest of each number of threads first."""
    ordered = sorted(measured, key=lambda one: (one.cell.threads, one.summary.p50_ms))
    rows = [
        (
            " · ".join(filter(None, ("**cxr-edge**" if one.cell.way == OWN else one.cell.way, one.cell.engine))),
            str(one.cell.threads),
            *map(
                significant,
                (one.summary.p50_ms, one.summary.p90_ms, one.summary.p99_ms, one.load_ms, one.memory.rss_mb),
            ),
            str(one.summary.n),
        )
        for one in ordered
    ]
    head = ("INT8 network alone, from Python", "threads", "p50 ms", "p90", "p99", "load ms", "RSS MB", "n")
    return markdown(head, rows)


def opening_table(openings: Sequence[Opening]) -> str:
    """What opening costs, and the first result beside the others; medians of repeated openings."""
    rows = [
        (
            one.program,
            str(one.threads),
            *map(significant, (one.open_ms[0], summarise(one.open_ms).p50_ms, summarise(one.first_ms).p50_ms)),
            *map(significant, (summarise(one.inference_ms).p50_ms, summarise(one.inference_ms).p99_ms, one.rss_mb)),
        )
        for one in openings
    ]
    head = ("program", "threads", "first open ms", "open ms", "first result ms", "later p50", "p99", "RSS MB")
    return markdown(head, rows)


def library_text(record: EngineRecord) -> str:
    """The size of the extension."""
    if record.library is None:
        return ""
    stripped = record.library.stripped
    told = f"; {stripped / 1000:,.0f} kB without symbols" if stripped is not None else ""
    return (
        f"The extension, with preprocessing in it: {record.library.as_installed / 1000:,.0f} kB as installed{told}.\n"
    )


def percent(layers: Layers, gmac_per_s: float) -> str:
    """A share of the peak, empty where there is none."""
    share = layers.share(gmac_per_s)
    return "" if share is None else f"{share:.0%}"
