"""``cxr-edge build``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import DebugOption
from cxr_edge.errors import UsageError

if TYPE_CHECKING:
    from cxr_edge.engines.tensorrt.plan_key import Difference


@app.command()
@reported
def build(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="BUNDLE", help="Bundle to build for; default: the one that ships.")
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="Engine to build for: tensorrt.")] = "tensorrt",
    precision: Annotated[
        str, typer.Option("--precision", help="int8 (INT8 convolutions, FP16 elsewhere), fp16 or fp32.")
    ] = "fp16",
    batch: Annotated[
        str, typer.Option("--batch", metavar="MIN,OPT,MAX", help="Images in one run: least, preferred, most.")
    ] = "1,1,1",
    workspace: Annotated[
        int, typer.Option("--workspace", metavar="MIB", help="Scratch memory that one layer may use.")
    ] = 512,
    optimization_level: Annotated[
        int, typer.Option("--optimization-level", help="0 builds fast, 5 searches long for the fastest plan.")
    ] = 3,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="Also run on newer TensorRT of the same major version; slower.")
    ] = False,
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="Also run on other GPUs from Ampere on; slower.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Build even where a plan that fits is there.")] = False,
    debug: DebugOption = False,
) -> None:
    """Build an engine's plan for this device from a bundle's model; run it once on each device.

    Research use only: not for diagnosis.
    """
    from cxr_edge.bundle import open_bundle
    from cxr_edge.engines.tensorrt.build import build_plan
    from cxr_edge.engines.tensorrt.plan_key import BuildOptions

    if engine != "tensorrt":
        raise UsageError(f"engine {engine!r} needs no plan; only tensorrt does")
    report = build_plan(
        open_bundle(bundle),
        precision,
        BuildOptions(batch_range(batch), workspace, optimization_level, version_compatible, hardware_compatible),
        force=force,
        on_stale=tell_stale,
        on_progress=tell_progress,
    )
    print("plan built" if report.built else "plan is up to date; nothing was built (--force builds it again)")
    print(f"plan    {report.plan} ({report.record.size / 2**20:.1f} MiB)")
    print(f"layers  {report.layers}")


def batch_range(text: str) -> tuple[int, int, int]:
    """The three numbers of ``--batch``.

    Raises:
        UsageError: they are not three whole numbers.
    """
    try:
        smallest, preferred, largest = (int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--batch takes MIN,OPT,MAX as in 1,4,8; got {text!r}") from error
    return smallest, preferred, largest


def tell_stale(differences: tuple[Difference, ...]) -> None:
    """Say why the plan that is there does not serve."""
    print(f"the plan is stale ({'; '.join(map(str, differences))}): building it again", file=sys.stderr)


def tell_progress(phase: str, done: int, steps: int) -> None:
    """One line at the beginning of a phase, and one for every tenth of it."""
    tenths = [number * 10 // max(steps, 1) for number in (done - 1, done)]
    if done == 0 or tenths[0] < tenths[1]:
        print(f"{phase}: {done} of {steps}", file=sys.stderr)
