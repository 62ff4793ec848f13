"""``python -m training.lungs``: train the lung localiser fold by fold, export it, evaluate it out of fold."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cxr_edge.cli.progress import show_progress
from cxr_edge.cli.workstation import stop_request
from cxr_edge.errors import CxrEdgeError
from cxr_edge.labels import read_labels
from training.entry import denormals_flushed
from training.fit import Progress
from training.lungs.config import LungTrainingConfig
from training.lungs.run import LungWatcher, members_of, model_path, train_lungs

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or that of the error that ended the run; what was trained by then is kept."""
    options = parser().parse_args(arguments)
    try:
        run(options)
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def run(options: argparse.Namespace) -> None:
    """Train what is missing; evaluate once every fold is there."""
    labels = read_labels(options.data, options.where)
    config = LungTrainingConfig(epochs=options.epochs, seed=options.seed)
    with stop_request() as stop_requested, bars() as show, denormals_flushed():
        watcher = LungWatcher(show_progress, show, stop_requested, print)
        examples = train_lungs(
            options.output, labels, config, release_fold=options.release_fold, watcher=watcher, only=options.only
        )
    members = members_of(labels, options.release_fold)
    missing = [member.name for member in members if not model_path(options.output, member.name).exists()]
    if missing:
        print(f"not evaluated: {', '.join(missing)} still to be trained")
        return
    from training.lungs.report import write_report

    print(write_report(options.output, members, examples))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser("python -m training.lungs", description=__doc__)
    add = command.add_argument
    defaults = LungTrainingConfig()
    add("--data", required=True, type=Path, metavar="CSV", help="label file with the columns file, label, mask, fold")
    add("--where", action="append", default=[], metavar="COLUMN=VALUE", help="only these rows; may be given again")
    add("--output", "-o", required=True, type=Path, metavar="RUN", help="folder of the run; an unfinished one goes on")
    add("--only", action="append", default=[], metavar="fold-K", help="train this localiser now; may be given again")
    add("--release-fold", default="0", metavar="K", help="fold that no localiser sees (default 0)")
    add("--epochs", type=int, default=defaults.epochs, help=f"passes over the images (default {defaults.epochs})")
    add("--seed", type=int, default=defaults.seed, help="of weights, order and augmentation")
    return command


@contextmanager
def bars() -> Iterator[Any]:
    """A function that shows one bar per localiser: called with its name and the progress after each step."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.completed:.1f}/{task.total:.0f}  loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns) as shown:
        tasks: dict[str, Any] = {}

        def show(member: str, progress: Progress) -> None:
            if member not in tasks:
                tasks[member] = shown.add_task(member, total=progress.epochs, loss=progress.loss)
            done = progress.epoch + progress.step / progress.steps
            shown.update(tasks[member], completed=done, loss=progress.loss)

        yield show


if __name__ == "__main__":
    raise SystemExit(main())
