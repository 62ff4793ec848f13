"""``cxr-edge reproduce``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import DebugOption, WhereOption
from cxr_edge.cli.train import parsed_stages
from cxr_edge.cli.workstation import stop_request, workstation_module


@app.command()
@reported
def reproduce(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the study; made or resumed.")
    ],
    data: Annotated[Path, typer.Option("--data", metavar="CSV", help="Label file; `cxr-edge index` writes one.")],
    where: WhereOption = None,
    chexnet: Annotated[
        Path | None, typer.Option("--chexnet", metavar="FILE", help="A published CheXNet checkpoint to start from.")
    ] = None,
    nih14: Annotated[
        Path | None, typer.Option("--nih14", metavar="FILE|RUN", help="Our own training on the 14 NIH findings.")
    ] = None,
    lungs: Annotated[
        Path | None,
        typer.Option("--lungs", metavar="RUN", help="Cross-validation of the lung localiser, for the lungs variants."),
    ] = None,
    variants: Annotated[
        str, typer.Option("--variants", metavar="NAME,...", help="What the networks see of each image.")
    ] = "full,body,lungs,lungs-masked",
    tune: Annotated[
        str, typer.Option("--tune", metavar="NAME,...", help="head (on a frozen backbone), all (layers), or both.")
    ] = "head,all",
    heads: Annotated[
        str, typer.Option("--heads", metavar="NAME,...", help="linear; hidden (one hidden layer, not for export).")
    ] = "linear,hidden",
    starts: Annotated[
        str | None,
        typer.Option(
            "--starts",
            metavar="NAME,...",
            help="chexnet, nih14, none; default: none and those whose checkpoint is given.",
        ),
    ] = None,
    use_run: Annotated[
        list[str] | None,
        typer.Option(
            "--use-run",
            metavar="CELL=RUN",
            help="Take a cell from a `cxr-edge train --cross-validate` of the same data, as in "
            "full:all:linear:none=RUN; may be given several times.",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", help="Divisions of the images, each anew.")] = 1,
    release_fold: Annotated[
        str | None, typer.Option("--release-fold", metavar="FOLD", help="Leave this fold out of everything.")
    ] = None,
    paper_split: Annotated[
        bool, typer.Option("--paper-split", help="The paper's setting: test on a fifth of the images with masks.")
    ] = False,
    stages: Annotated[
        str, typer.Option("--stages", metavar="SIZExEPOCHS,...", help="Input sizes and epochs of all-layers cells.")
    ] = "160x20,224x10",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images a step of all-layers cells.")] = 16,
    quick: Annotated[
        bool, typer.Option("--quick", help="Try it out: 96 pixels, two epochs, one repeat. Its figures mean nothing.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of divisions, heads and trainings.")] = 2019,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu or cuda; default: cuda when there is one.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Make the paper's study again: input variants, frozen or trained backbones, heads, starting points.

    Cross-validates every cell by the fold column and writes the record that docs/paper.md is made from. Run the same
    command again to resume. Needs the source checkout.

    Research use only: not for diagnosis.
    """
    entry = workstation_module("training.reproduce.entry")
    material = workstation_module("training.reproduce.material")
    options = entry.ReproductionOptions(
        output=output,
        data=data,
        where=tuple(where or ()),
        chexnet=chexnet,
        nih14=nih14,
        lungs=lungs,
        variants=names(variants),
        tune=names(tune),
        heads=names(heads),
        starts=None if starts is None else names(starts),
        use_run=tuple(use_run or ()),
        repeats=repeats,
        release_fold=release_fold,
        paper_split=paper_split,
        stages=parsed_stages(stages),
        batch_size=batch_size,
        quick=quick,
        seed=seed,
        device=device,
    )
    with stop_request() as stop_requested, progress_bar() as show:
        record = entry.reproduce_from_options(options, material.StudyWatcher(show, print, stop_requested))
    print(workstation_module("training.reproduce.tables").plain_text(record))
    print(f"record written to {output / 'records.jsonl'}; python -m training.reproduce.render makes the page of it")


def names(text: str) -> tuple[str, ...]:
    """``"full,body"`` as ``("full", "body")``."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float, float], None]]:
    """A function that shows what is being done, how much of it is done, and how much there is."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn()) as progress:
        bar = progress.add_task("reading the images", total=None)
        doing = ""

        def show(text: str, done: float, total: float) -> None:
            nonlocal doing
            if text != doing:
                doing = text
                progress.reset(bar, total=total, description=text)
            progress.update(bar, completed=done, total=total)

        yield show
