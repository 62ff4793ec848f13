"""A study's summary as Markdown: what it is of, a row for every cell, what the variants gain."""

from __future__ import annotations

from collections.abc import Sequence

from cxr_edge.probability import Interval
from training.generated_sections import markdown_table
from training.reproduce.cells import Cell
from training.reproduce.figures import CellFigures, StudySummary
from training.reproduce.paper import PAPER
from training.reproduce.record import StudyRecord
from training.reproduce.summary import summary_of

__all__ = ["START_NAMES", "plain_text", "sections"]

START_NAMES = {"chexnet": "CheXNet", "nih14": "NIH, 14 labels", "none": "random"}
HEADINGS = ("input", "start", "head", "training", "models", "AUC (splits)", "accuracy", "sensitivity", "specificity")
GAIN_HEADINGS = ("input", "start", "head", "trained", "models", "Δ AUC", "Δ accuracy")


def sections(summary: StudySummary) -> dict[str, str]:
    """Markdown of each generated section, by its name."""
    return {
        "conditions": conditions(summary),
        "frozen": cell_table([cell for cell in summary.cells if Cell.parse(cell.cell).tune == "head"]),
        "all-layers": cell_table([cell for cell in summary.cells if Cell.parse(cell.cell).tune == "all"]),
        "gains": gain_table(summary),
    }


def conditions(summary: StudySummary) -> str:
    """On what the study was made, in one paragraph."""
    if summary.paper_split:
        design = "a stratified fifth of the images with masks held out, patient-disjoint"
    elif summary.release_fold is not None:
        design = f"cross-validation without fold {summary.release_fold}, the release fold, which no model saw"
    else:
        design = "cross-validation over every fold: nothing about a shipped bundle may be chosen by these figures"
    where = f" where {', '.join(summary.where)}" if summary.where else ""
    quick = "**Only tried out with --quick: the figures mean nothing.** " if summary.quick else ""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(summary.versions.items()))
    return (
        f"{quick}{', '.join(summary.datasets)}{where}: {summary.images} images of {summary.patients} patients, "
        f"{summary.abnormal} abnormal (SHA-256 of label file {summary.labels_sha256[:12]}…, of images "
        f"{summary.images_sha256[:12]}…); {design}. Record {summary.record_sha256[:12]}…, "
        f"seed {summary.seed}. {versions}."
    )


def cell_table(cells: Sequence[CellFigures]) -> str:
    """A row for each cell below the paper's best."""
    if not cells:
        return "Not measured yet."
    return markdown_table(HEADINGS, [paper_row(), *(cell_row(cell) for cell in cells)])


def paper_row() -> tuple[str, ...]:
    """What the paper reports, with intervals for its test set."""
    figures = (with_ends(PAPER.accuracy, 4), with_ends(PAPER.sensitivity, 4), with_ends(PAPER.specificity, 4))
    return ("**paper, cropped**", "CheXNet", "", f"tested on {PAPER.images} images", "1", "not known", *figures)


def cell_row(cell: CellFigures) -> tuple[str, ...]:
    """The figures in the order of the headings."""
    parts = Cell.parse(cell.cell)
    lowest, highest = cell.auc_range
    return (
        parts.variant,
        START_NAMES[parts.start],
        parts.head,
        cell.training + (f" ({cell.source})" if cell.source.startswith("run ") else ""),
        str(cell.splits) if cell.splits == cell.planned else f"{cell.splits} of {cell.planned}",
        f"{with_ends(cell.auc)} ({lowest:.3f}–{highest:.3f})",
        *(with_ends(figure) for figure in (cell.accuracy, cell.sensitivity, cell.specificity)),
    )


def gain_table(summary: StudySummary) -> str:
    """A row for each cell of another variant than the whole frame."""
    if not summary.comparisons:
        return "Not measured yet."
    rows = []
    for line in summary.comparisons:
        parts = Cell.parse(line.cell)
        trained = "all layers" if parts.tune == "all" else "head"
        gains = (signed(line.auc), signed(line.accuracy))
        rows.append((parts.variant, START_NAMES[parts.start], parts.head, trained, str(line.splits), *gains))
    return markdown_table(GAIN_HEADINGS, rows)


def with_ends(figure: Interval, digits: int = 3) -> str:
    """A figure with the ends of its interval."""
    return f"{figure.value:.{digits}f} [{figure.low:.3f}, {figure.high:.3f}]"


def signed(figure: Interval) -> str:
    """A difference with the ends of its interval; bold where the interval leaves out 0."""
    text = f"{figure.value:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]"
    return f"**{text}**" if figure.low > 0 or figure.high < 0 else text


def plain_text(record: StudyRecord) -> str:
    """What the command prints at its end.

    Raises:
        DatasetError: not enough is on record to choose a threshold on.
    """
    summary = summary_of(record)
    width = max(len(cell.cell) for cell in summary.cells)
    paper = f"{'paper, cropped input':<{width}}  AUC not known             accuracy {with_ends(PAPER.accuracy)}"
    rows = [
        f"{cell.cell:<{width}}  AUC {with_ends(cell.auc)}  accuracy {with_ends(cell.accuracy)}"
        for cell in summary.cells
    ]
    return "\n".join([conditions(summary), "", paper, *rows])
