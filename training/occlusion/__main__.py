"""``python -m training.occlusion``: hide parts of every image from the model of its fold, and record what it says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cxr_edge.atomic import output_errors
from cxr_edge.cli.progress import show_progress
from cxr_edge.cli.workstation import stop_request
from cxr_edge.data_use import image_sha256
from cxr_edge.errors import CxrEdgeError, DatasetError, UsageError
from cxr_edge.labels import LabelFile, read_labels
from training.dataset import targets_of
from training.entry import denormals_flushed
from training.localisers import Localisers
from training.occlusion.measuring import Judge, member_record
from training.occlusion.record import OcclusionHeader, OcclusionStudy
from training.run import Run
from training.splits import patient_numbers

__all__ = ["main", "measure"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or that of the error that ended it; models that were finished by then are on record."""
    options = parser().parse_args(arguments)
    try:
        with stop_request() as stop_requested, denormals_flushed():

            def on_image(done: int, total: int) -> None:
                show_progress(done, total)
                if stop_requested():
                    raise KeyboardInterrupt

            measure(options.data, options.run, options.lungs, options.output, on_image)
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser("python -m training.occlusion", description=__doc__)
    add = command.add_argument
    add("--data", type=Path, required=True, metavar="CSV", help="label file that the runs were trained on")
    add("--run", type=Path, action="append", required=True, metavar="RUN", help="cross-validated training; repeatable")
    add("--lungs", type=Path, required=True, metavar="RUN", help="cross-validation of the lung localiser")
    add("-o", "--output", type=Path, required=True, metavar="RECORDS.jsonl", help="record to make or to add to")
    return command


def measure(
    data: Path, runs: Sequence[Path], lungs: Path, output: Path, on_image: Callable[[int, int], None]
) -> OcclusionStudy:
    """Judge every image of the development folds with each finished model that did not see it.

    Args:
        data: label file.
        runs: folders of cross-validations on it.
        lungs: folder of the localisers' cross-validation.
        output: record; models that are on it already are not measured again.
        on_image: told how many images are done, and of how many.

    Raises:
        DatasetError: runs, labels, localisers or an older record cannot be used, or do not belong together.
        UsageError: two runs of the same name.
        OutputError: the record cannot be written.
    """
    opened = [Run.open(path) for path in runs]
    labels = read_labels(data, opened[0].where)
    check_runs(opened, labels)
    images = replace(labels, images=tuple(i for i in labels.images if i.fold != opened[0].release_fold))
    targets_of(images.images, "abnormality")
    localisers = Localisers.open(lungs, images.images)
    check_localisers(opened, localisers)
    study = begun(output, header_of(images, opened[0].release_fold))
    todo = [
        (run, member)
        for run in opened
        for member in judges_of(run)
        if not study.has(run.directory.name, member, image_sha256(run.model_path(member)))
    ]
    total = sum(image.fold == run.members[member] for run, member in todo for image in images.images)
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        on_image(done, total)

    for run, member in todo:
        numbers = [n for n, image in enumerate(images.images) if image.fold == run.members[member]]
        chosen = [images.images[number] for number in numbers]
        judge = Judge.of(run, member, localisers)
        study = study.with_line(member_record(run, member, judge, chosen, numbers, one_more))
        study.write(output)
    return study


def judges_of(run: Run) -> list[str]:
    """Members of a run that are finished and predict a fold other than the release fold."""
    folds = {name: fold for name, fold in run.members.items() if fold not in (None, run.release_fold)}
    return [name for name in sorted(folds) if run.finished(name)]


def check_runs(runs: Sequence[Run], labels: LabelFile) -> None:
    """Return when all runs are of the label file and can be told apart.

    Raises:
        UsageError: two of the same name.
        DatasetError: one is of another label file, other filters or another release fold, judges nothing, or has
            several outputs.
    """
    names = [run.directory.name for run in runs]
    if len(set(names)) < len(names):
        raise UsageError(f"runs {', '.join(names)}: give folders of different names, which the record tells them by")
    for run in runs:
        if run.record["labels_sha256"] != labels.sha256:
            raise DatasetError(f"{run.directory} was trained on another label file than the one given")
        if (run.where, run.release_fold) != (runs[0].where, runs[0].release_fold):
            raise DatasetError(f"{run.directory} has other filters or another release fold than {runs[0].directory}")
        if run.config.task != "abnormality" or not judges_of(run):
            raise DatasetError(
                f"{run.directory} has no finished normal/abnormal model that predicts a fold; cross-validate one first"
            )


def check_localisers(runs: Sequence[Run], localisers: Localisers) -> None:
    """Return when the models that are shown lungs get them from the localisers that they were trained with.

    Raises:
        DatasetError: a run was trained on other localisers' boxes.
    """
    for run in runs:
        known = set(run.record.get("lungs_sha256", ()))
        if run.config.preprocess.needs_lungs and not known.issuperset(localisers.sha256.values()):
            raise DatasetError(
                f"{run.directory} was trained on the lungs of other localisers; give --lungs {run.localisers_path}"
            )


def header_of(labels: LabelFile, release_fold: str | None) -> OcclusionHeader:
    """The record's first line."""
    return OcclusionHeader(
        datasets=tuple(sorted({image.dataset for image in labels.images})),
        labels_sha256=labels.sha256,
        release_fold=release_fold,
        labels=tuple(int(image.label or 0) for image in labels.images),
        patients=patient_numbers(labels.images),
        seed=2019,
    )


def begun(output: Path, header: OcclusionHeader) -> OcclusionStudy:
    """The record that stands there, or an empty one.

    Raises:
        DatasetError: it is of other images.
    """
    if not output.exists():
        with output_errors(output):
            output.parent.mkdir(parents=True, exist_ok=True)
        return OcclusionStudy(header)
    study = OcclusionStudy.read(output)
    if study.header != header:
        raise DatasetError(f"{output} is a record of other images; choose another file")
    return study


if __name__ == "__main__":
    raise SystemExit(main())
