"""Options that several commands share, so that they are spelt and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "BundleOption",
    "DebugOption",
    "DeviceOption",
    "EngineOption",
    "JsonOption",
    "OperatingPointOption",
    "PrecisionOption",
    "ThreadsOption",
    "WhereOption",
]

BundleOption = Annotated[
    Path | None, typer.Option("--bundle", metavar="DIR", help="Bundle to use; default: the one that ships.")
]
EngineOption = Annotated[
    str, typer.Option("--engine", help="Inference engine by name, or auto for the first that is installed and fits.")
]
PrecisionOption = Annotated[
    str | None, typer.Option("--precision", help="Model precision; default: the bundle's choice for the device.")
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="Where to compute: cpu, cpu-bf16, cuda; default: the engine's choice."),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="Threads to compute with; default: every usable core.")
]
OperatingPointOption = Annotated[
    str | None, typer.Option("--operating-point", metavar="NAME", help="Threshold by name; default: the bundle's.")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COLUMN=VALUE", help="Only images with this value; repeat to narrow further."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, at full precision.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
