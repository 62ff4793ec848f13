"""What ``cxr-edge reproduce`` asks for, turned into a plan, cells and a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cxr_edge.atomic import output_errors
from cxr_edge.data_use import footprint
from cxr_edge.errors import DatasetError, UsageError
from cxr_edge.labels import LabelFile, read_labels
from training.dataset import targets_of
from training.entry import denormals_flushed, device_of
from training.localisers import NO_LOCALISERS, Localisers
from training.reproduce.cells import STARTS, Cell, grid, spec_of
from training.reproduce.imported_run import ImportedRun
from training.reproduce.material import Material, StudyWatcher, digest_of
from training.reproduce.plan import Split, cross_validation_plan, paper_plan
from training.reproduce.record import StudyHeader, StudyRecord
from training.reproduce.running import Recipe, Study
from training.reproduce.starts import open_starts
from training.splits import patient_numbers

__all__ = ["ReproductionOptions", "reproduce_from_options"]

QUICK_STAGES = ((96, 2),)


@dataclass(frozen=True, slots=True)
class ReproductionOptions:
    """The options of the command, checked when they are used; see ``cxr-edge reproduce --help``."""

    output: Path
    data: Path
    where: tuple[str, ...]
    chexnet: Path | None
    nih14: Path | None
    lungs: Path | None
    variants: tuple[str, ...]
    tune: tuple[str, ...]
    heads: tuple[str, ...]
    starts: tuple[str, ...] | None
    use_run: tuple[str, ...]
    repeats: int
    release_fold: str | None
    paper_split: bool
    stages: tuple[tuple[int, int], ...]
    batch_size: int
    quick: bool
    seed: int
    device: str | None


def reproduce_from_options(options: ReproductionOptions, watcher: StudyWatcher) -> StudyRecord:
    """Make, or go on with, the study that the options describe.

    Args:
        options: what was asked.
        watcher: progress, notes and interruption.

    Raises:
        UsageError: options that contradict each other or the study in the folder.
        DatasetError: labels, folds, masks or checkpoints cannot be used.
        SeenDataError: a checkpoint has seen images of the study.
        OutputError: the folder cannot be written.
        KeyboardInterrupt: a stop was requested; the same command goes on.
    """
    if options.quick:
        options = replace(options, stages=QUICK_STAGES, repeats=1)
    watcher = replace(watcher, note=once(watcher.note))
    labels = chosen_labels(options)
    plan = chosen_plan(options, labels)
    note_scope(options, labels, watcher)
    starts = open_starts(options.starts, options.chexnet, options.nih14, footprint(labels), watcher.note)
    localisers = NO_LOCALISERS if options.lungs is None else Localisers.open(options.lungs, labels.images)
    material = Material(labels, starts, localisers, options.output, device_of(options))  # type: ignore[arg-type]
    header = header_of(options, material)
    imported = {run.cell.name: run for run in (ImportedRun.open(text, material, header) for text in options.use_run)}
    cells = chosen_cells(options, sorted(starts, key=STARTS.index), [run.cell for run in imported.values()])
    check_localisers(options, [cell for cell in cells if cell.name not in imported])
    with output_errors(options.output):
        options.output.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(options.stages, options.batch_size, options.seed)
    with denormals_flushed():
        return Study(header, material, recipe, imported, watcher).run(cells, plan)


def once(note: Callable[[str], None]) -> Callable[[str], None]:
    """The same, saying nothing twice: every split of a cell adapts the same checkpoint in the same way."""
    said: set[str] = set()

    def say(text: str) -> None:
        if text not in said:
            said.add(text)
            note(text)

    return say


def chosen_labels(options: ReproductionOptions) -> LabelFile:
    """The study's images: without the release fold, or those with masks where the paper's own split is asked for.

    Raises:
        DatasetError: the label file cannot be used, or has no masks.
        UsageError: a release fold that does not occur, or one together with the paper's split.
    """
    labels = read_labels(options.data, options.where)
    if not options.paper_split:
        return without_fold(labels, options.release_fold)
    if options.release_fold is not None:
        raise UsageError("--paper-split tests on images of any fold; keep one out with --where fold!=N instead")
    masked = tuple(image for image in labels.images if image.mask is not None)
    if not masked:
        raise DatasetError(f"{options.data} names no masks, and --paper-split is of the images with masks")
    return replace(labels, images=masked)


def without_fold(labels: LabelFile, fold: str | None) -> LabelFile:
    """The images of the other folds; all of them for None."""
    folds = {image.fold for image in labels.images}
    if fold is not None and fold not in folds:
        names = ", ".join(sorted(str(name) for name in folds))
        raise UsageError(f"release fold {fold!r} does not occur; the label file has folds {names}")
    return replace(labels, images=tuple(image for image in labels.images if fold is None or image.fold != fold))


def chosen_plan(options: ReproductionOptions, labels: LabelFile) -> tuple[Split, ...]:
    """Which images each model is trained on and predicts."""
    targets_of(labels.images, "abnormality")
    if options.paper_split:
        return paper_plan(labels.images, repeats=options.repeats, seed=options.seed)
    return cross_validation_plan(labels.images, repeats=options.repeats, seed=options.seed)


def chosen_cells(options: ReproductionOptions, starts: Sequence[str], imported: Sequence[Cell]) -> tuple[Cell, ...]:
    """The grid, and the cells of runs that are not in it."""
    cells = grid(options.variants, options.tune, options.heads, starts)
    return (*cells, *(cell for cell in imported if cell not in cells))


def check_localisers(options: ReproductionOptions, cells: Sequence[Cell]) -> None:
    """Return when nobody needs a localiser that was not given.

    Raises:
        UsageError: a variant needs one.
    """
    needing = {cell.variant for cell in cells if spec_of(cell.variant, options.stages[-1][0]).needs_lungs}
    if needing and options.lungs is None:
        raise UsageError(
            f"variants {', '.join(sorted(needing))} need --lungs: the folder of the localiser's cross-validation; or "
            "name others with --variants"
        )


def note_scope(options: ReproductionOptions, labels: LabelFile, watcher: StudyWatcher) -> None:
    """Say plainly what the figures may not be used for."""
    if options.quick:
        watcher.note("note: --quick tries the study out in small; its figures mean nothing")
    if options.release_fold is not None:
        watcher.note(f"note: fold {options.release_fold} is left out of everything: no model learns or predicts it")
        return
    what = f"{len(labels.images)} images with masks, of all folds" if options.paper_split else "every fold"
    watcher.note(
        f"note: the figures are of {what}, the release fold among them: they describe the recipe, and nothing about a "
        "shipped bundle may be chosen by them; --release-fold 0 leaves fold 0 out"
    )


def header_of(options: ReproductionOptions, material: Material) -> StudyHeader:
    """The record's first line."""
    return StudyHeader(
        datasets=tuple(sorted({image.dataset for image in material.images})),
        labels_sha256=material.labels.sha256,
        where=material.labels.where,
        images_sha256=digest_of(material.images),
        labels=tuple(int(label) for label in material.truth),
        patients=patient_numbers(material.images),
        release_fold=options.release_fold,
        paper_split=options.paper_split,
        quick=options.quick,
        seed=options.seed,
    )
