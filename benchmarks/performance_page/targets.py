"""What the project promised about speed, and whether a record reaches it. A figure that is missing is never guessed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.performance_page.figures import Figure, Figures
from cxr_edge.bench.measurement import Measurement
from cxr_edge.bench.table import significant

__all__ = ["Target", "targets"]

XRV = "torchxrayvision style"
NNCF = "NNCF's own INT8"


@dataclass(frozen=True, slots=True)
class Target:
    """One promise.

    Attributes:
        what: what is measured.
        aim: the limit, in words.
        reached: the figure, or None where the record lacks one that it needs.
        met: whether the figure keeps the limit; None like ``reached``.
        lines: of the record, that the figure comes from.
    """

    what: str
    aim: str
    reached: str | None
    met: bool | None
    lines: tuple[int, ...]


def targets(figures: Figures) -> tuple[Target, ...]:
    """Every target in the order of the list that they were set in."""
    return (
        *preprocess_targets(figures),
        *end_to_end_targets(figures),
        *start_up_targets(figures),
        *memory_targets(figures),
        tail_target(figures),
        *folder_targets(figures),
    )


def preprocess_targets(figures: Figures) -> tuple[Target, ...]:
    """Preprocessing against the resizers on one thread."""
    ours = figures.fastest("preprocess", input="frame", threads=1)

    def against(way: str) -> Figure | None:
        return figures.fastest("preprocess", way, threads=1)

    return (
        at_least("preprocess, 1 thread: OpenCV INTER_AREA / ours", 10, against("OpenCV INTER_AREA"), ours),
        at_least("preprocess, 1 thread: scikit-image / ours", 200, against("scikit-image"), ours),
        at_most("preprocess, 1 thread: ours / plain copy of the frame", 2.0, ours, against("plain copy")),
    )


def end_to_end_targets(figures: Figures) -> tuple[Target, ...]:
    """The whole way with INT8, the formats, and INT8 against NNCF's."""
    int8 = figures.fastest("end-to-end", input="frame", precision="int8")
    engine = int8.of.cell.engine if int8 else None
    infer = figures.fastest("infer", engine=engine, precision="int8") if int8 else None
    dicom = matching(figures, "dicom")
    frame = same_model(figures, dicom, "frame")
    script = figures.fastest("end-to-end", XRV)
    full = figures.fastest("decode", "pydicom, Pillow full decode")
    reduced = matching(figures, "dicom-jpeg2000")
    return (
        overhead("raw frame to result, INT8: end to end - engine", 1.2, int8, infer),
        at_least("raw frame to result: torchxrayvision style / ours, INT8", 40, script, int8),
        at_most("uncompressed DICOM file / raw frame, end to end", 1.6, dicom, frame),
        at_least("JPEG 2000: full decode / our decoding", 4, full, reduced, decoding),
        at_most(
            "network, INT8 on OpenVINO: ours / NNCF's own",
            1.0,
            figures.fastest("infer", engine="openvino", precision="int8"),
            figures.fastest("infer", NNCF),
        ),
    )


def start_up_targets(figures: Figures) -> tuple[Target, ...]:
    """Fresh processes."""
    one_shot = figures.fastest("one-shot")
    return (
        within("import cxr_edge", 150.0, figures.fastest("import"), "ms", median),
        within("one-shot classify of a DICOM file", 1000.0, one_shot, "ms", median),
        at_most("one-shot: ours / torchxrayvision style", 0.25, one_shot, figures.fastest("one-shot", XRV)),
    )


def memory_targets(figures: Figures) -> tuple[Target, ...]:
    """Steady memory by engine, with the raw frame of the bench in it; the largest of its precisions."""
    found = []
    for engine, limit in (("openvino", 200.0), ("onnxruntime", 150.0)):
        cells = figures.where("end-to-end", engine=engine, input="frame")
        largest = max(cells, key=lambda figure: figure.of.memory.rss_mb or 0.0, default=None)
        found.append(within(f"steady memory, {engine}", limit, largest, "MB", lambda one: one.memory.rss_mb))
    return tuple(found)


def tail_target(figures: Figures) -> Target:
    """p99 / p50 of the worst of our end-to-end cells."""
    worst = max(figures.where("end-to-end"), key=lambda figure: tail(figure.of), default=None)
    what = "p99 / p50 end to end, worst of all inputs and engines"
    if worst is None:
        return Target(what, "at most 1.5", None, None, ())
    return Target(what, "at most 1.5", f"{tail(worst.of):.2f}", tail(worst.of) <= 1.5, (worst.line,))


def folder_targets(figures: Figures) -> tuple[Target, ...]:
    """Images a second of a folder against one at a time, with the same model."""
    found = []
    for kind in ("png", "jpeg"):
        folder = figures.fastest("folder", input=kind)
        alone = same_model(figures, folder, kind)
        what, aim = f"folder of {kind.upper()} files: images/s against one at a time", "at least 1.5"
        if folder is None or alone is None:
            found.append(Target(what, aim, None, None, ()))
            continue
        ratio = alone.p50 / (folder.p50 / folder.of.images)
        found.append(Target(what, aim, f"{ratio:.2f}", ratio >= 1.5, (folder.line, alone.line)))
    return tuple(found)


def median(one: Measurement) -> float | None:
    """p50, ms."""
    return one.summary.p50_ms


def decoding(one: Measurement) -> float | None:
    """What decoding takes end to end, where it may stop at the size that the network needs, ms."""
    return one.stages_ms.get("decode")


def tail(one: Measurement) -> float:
    """p99 / p50."""
    return one.summary.p99_ms / one.summary.p50_ms


def matching(figures: Figures, kind: str) -> Figure | None:
    """End to end from a kind of input; the fastest model where several were measured."""
    return figures.fastest("end-to-end", input=kind)


def same_model(figures: Figures, other: Figure | None, kind: str) -> Figure | None:
    """End to end from a kind of input with the model and threads of another figure."""
    if other is None:
        return None
    cell = other.of.cell
    return figures.fastest("end-to-end", input=kind, engine=cell.engine, precision=cell.precision, threads=cell.threads)


Value = Callable[[Measurement], float | None]


def at_least(
    what: str, limit: float, above: Figure | None, below: Figure | None, value_below: Value = median
) -> Target:
    """``above / below`` must reach the limit."""
    ratio = quotient(above, below, value_below)
    met = None if ratio is None else ratio >= limit
    return Target(what, f"at least {limit:g}", shown(ratio), met, lines_of(ratio, above, below))


def at_most(what: str, limit: float, above: Figure | None, below: Figure | None) -> Target:
    """``above / below`` must not exceed the limit."""
    ratio = quotient(above, below, median)
    met = None if ratio is None else ratio <= limit
    return Target(what, f"at most {limit:g}", shown(ratio), met, lines_of(ratio, above, below))


def overhead(what: str, limit: float, whole: Figure | None, part: Figure | None) -> Target:
    """``whole - part`` must not exceed the limit in milliseconds."""
    aim = f"at most {limit:g} ms"
    if whole is None or part is None:
        return Target(what, aim, None, None, ())
    rest = whole.p50 - part.p50
    return Target(what, aim, f"{rest:.2f} ms", rest <= limit, (whole.line, part.line))


def within(what: str, limit: float, figure: Figure | None, unit: str, value: Value) -> Target:
    """A value must not exceed the limit."""
    aim = f"at most {limit:g} {unit}"
    found = value(figure.of) if figure is not None else None
    if figure is None or found is None:
        return Target(what, aim, None, None, ())
    return Target(what, aim, f"{significant(found)} {unit}", found <= limit, (figure.line,))


def quotient(above: Figure | None, below: Figure | None, value_below: Value) -> float | None:
    """Median of one by a value of the other; None where either is missing."""
    denominator = value_below(below.of) if below is not None else None
    return above.p50 / denominator if above is not None and denominator else None


def shown(ratio: float | None) -> str | None:
    """A ratio with two decimals, a large one with none."""
    return None if ratio is None else f"{ratio:.2f}" if ratio < 20 else f"{ratio:.0f}"


def lines_of(ratio: float | None, *figures: Figure | None) -> tuple[int, ...]:
    """The lines of the figures that gave a ratio."""
    return () if ratio is None else tuple(figure.line for figure in figures if figure is not None)
