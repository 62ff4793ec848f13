"""``cxr-edge train``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import DebugOption, WhereOption
from cxr_edge.cli.workstation import stop_request, workstation_module
from cxr_edge.errors import UsageError


@app.command()
@reported
def train(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="RUN", help="Folder of the run; made or resumed.")],
    data: Annotated[Path, typer.Option("--data", metavar="CSV", help="Label file; `cxr-edge index` writes one.")],
    where: WhereOption = None,
    task: Annotated[
        str, typer.Option("--task", help="abnormality (normal/abnormal) or nih14 (CheXNet's 14 findings).")
    ] = "abnormality",
    initial: Annotated[
        Path | None,
        typer.Option(
            "--initial", metavar="FILE|RUN", help="Checkpoint to start from, or run to go on from; default: random."
        ),
    ] = None,
    tune: Annotated[str, typer.Option("--tune", help="all layers, or the head alone on a frozen backbone.")] = "all",
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="One model per value of the fold column.")
    ] = False,
    release_fold: Annotated[
        str | None,
        typer.Option("--release-fold", metavar="FOLD", help="Fold that no other model of the run may see."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="MEMBER", help="Train these members now, such as fold-2; others can follow."),
    ] = None,
    held_out: Annotated[
        float, typer.Option("--held-out", metavar="SHARE", help="Without folds: share of patients to predict.")
    ] = 0.1,
    stages: Annotated[
        str, typer.Option("--stages", metavar="SIZExEPOCHS,...", help="Input sizes and epochs, in order.")
    ] = "160x20,224x10",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images a step.")] = 16,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Peak of the one-cycle schedule.")] = 7e-4,
    precision: Annotated[str, typer.Option("--precision", help="bf16 or fp32.")] = "bf16",
    variant: Annotated[
        str,
        typer.Option(
            "--variant",
            help="Part of the image that the network sees: full, body (without black borders and collimation bars), "
            "lungs, or lungs-masked.",
        ),
    ] = "full",
    margin: Annotated[
        int | None,
        typer.Option("--margin", metavar="PERCENT", help="Added to each side of the lungs' box; default: 5."),
    ] = None,
    lungs: Annotated[
        Path | None,
        typer.Option(
            "--lungs", metavar="RUN", help="Cross-validation of the lung localiser, with fold-K/lungs.onnx in it."
        ),
    ] = None,
    not_found: Annotated[
        str | None,
        typer.Option("--not-found", help="An image without lungs: show its body (default), or refuse it."),
    ] = None,
    outside: Annotated[
        float | None,
        typer.Option(
            "--outside",
            metavar="GREY",
            help="Shown outside the lungs of lungs-masked, from 0 (black) to 1 (white); default: 0.",
        ),
    ] = None,
    contrast: Annotated[str, typer.Option("--contrast", help="Grey scale: none, equalised or clahe.")] = "none",
    laterality: Annotated[
        float,
        typer.Option(
            "--laterality",
            metavar="WEIGHT",
            help="Weight of learning, beside the decision, on which side findings are (column laterality or findings).",
        ),
    ] = 0.0,
    channel_shifts: Annotated[
        float,
        typer.Option(
            "--channel-shifts",
            metavar="SHARE",
            help="Random shifts of whole channels, as a share of their spread: the network learns to bear INT8.",
        ),
    ] = 0.0,
    keep_initial: Annotated[
        float,
        typer.Option(
            "--keep-initial",
            metavar="SHARE",
            help="Of --initial's weights in what is kept: between start and end of a training lies a compromise.",
        ),
    ] = 0.0,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="Train on permuted labels: a run that must end at AUC 0.5.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of initialisation, order and augmentation.")] = 2019,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu or cuda; default: cuda when there is one.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Train CheXNet's 14 findings or the normal/abnormal classifier, with progress, curves and exact resume.

    Run the same command again to resume. Needs the source checkout.

    Research use only: not for diagnosis.
    """
    entry = workstation_module("training.entry")
    with stop_request() as stop_requested, progress_bars() as watch:
        run = entry.train_from_options(
            entry.TrainingOptions(
                output=output,
                data=data,
                where=tuple(where or ()),
                task=task,
                initial=initial,
                tune=tune,
                cross_validate=cross_validate,
                release_fold=release_fold,
                only=tuple(only or ()),
                held_out=held_out,
                stages=parsed_stages(stages),
                batch_size=batch_size,
                learning_rate=learning_rate,
                precision=precision,
                shuffle_labels=shuffle_labels,
                seed=seed,
                device=device,
                variant=variant,
                margin=margin,
                lungs=lungs,
                not_found=not_found,
                outside=outside,
                contrast=contrast,
                laterality=laterality,
                channel_shifts=channel_shifts,
                keep_initial=keep_initial,
            ),
            watch,
            stop_requested,
        )
    print(f"run written to {run.directory}; curves in {run.directory / 'curves.png'}")


def parsed_stages(text: str) -> tuple[tuple[int, int], ...]:
    """``"160x20,224x10"`` as ``((160, 20), (224, 10))``."""
    if not re.fullmatch(r"\d+x\d+(,\d+x\d+)*", text):
        raise UsageError(f"--stages {text!r} is not of the form SIZExEPOCHS,SIZExEPOCHS such as 160x20,224x10")
    return tuple((int(size), int(epochs)) for size, epochs in (stage.split("x") for stage in text.split(",")))


@contextmanager
def progress_bars() -> Iterator[Any]:
    """A function that shows one bar per model of the run: called with its name, epochs done (a fraction), all, loss."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.completed:.1f}/{task.total:.0f}  loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        bars: dict[str, Any] = {}

        def show(member: str, epochs_done: float, epochs: int, loss: float) -> None:
            if member not in bars:
                bars[member] = progress.add_task(member, total=epochs, loss=loss)
            progress.update(bars[member], completed=epochs_done, loss=loss)

        yield show
