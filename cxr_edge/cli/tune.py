"""``cxr-edge tune``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cxr_edge.cli.application import app, reported
from cxr_edge.cli.options import BundleOption, DebugOption, JsonOption
from cxr_edge.errors import UsageError

if TYPE_CHECKING:
    from cxr_edge.bench.tuning import Race


@app.command()
@reported
def tune(
    bundle: BundleOption = None,
    repetitions: Annotated[
        int | None, typer.Option("--repetitions", metavar="N", help="Timed runs of a candidate and round; default 50.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="S", help="Time for them at most; default 3.")
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Measure nothing: drop what is stored for this bundle.")
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Find the fastest engine, precision and thread count for a bundle on this device, for `--engine auto` to prefer.

    Every candidate that is installed and passed its parity gate runs in a process of its own. The result is kept in
    this user's cache and holds for this bundle, machine and these library versions; with others it is not looked at.

    Research use only: not for diagnosis.
    """
    from cxr_edge.bundle import open_bundle
    from cxr_edge.engines.tuning import forget_tuning, store_tuning

    opened = open_bundle(bundle)
    if forget:
        if repetitions is not None or seconds is not None:
            raise UsageError("--forget measures nothing: leave --repetitions and --seconds out")
        known = forget_tuning(opened)
        print(json.dumps({"forgotten": known}) if as_json else "forgotten" if known else "nothing was stored")
        return

    from cxr_edge.bench.cell import Plan
    from cxr_edge.bench.tuning import TUNING_PLAN
    from cxr_edge.bench.tuning import tune as race

    plan = Plan(
        TUNING_PLAN.repetitions if repetitions is None else repetitions,
        TUNING_PLAN.warm_up,
        TUNING_PLAN.seconds if seconds is None else seconds,
    )
    found = race(opened, plan, progress=show_candidate)
    stored = store_tuning(opened, found.tuning)
    show(found, as_json=as_json)
    print(f"stored in {stored}", file=sys.stderr)


def show_candidate(number: int, count: int, name: str) -> None:
    """Which candidate is measured now, on standard error."""
    print(f"{number}/{count} {name}", file=sys.stderr)


def show(found: Race, *, as_json: bool) -> None:
    """Print the ranking, and which candidates failed."""
    ranked = found.tuning.ranked
    if as_json:
        print(json.dumps({"ranked": [asdict(model) for model in ranked], "key": asdict(found.tuning.key)}))
    else:
        for model in ranked:
            print(f"{model.p50_ms:9.2f} ms  {model.engine} {model.precision}, threads {model.threads}")
        best = ranked[0]
        print(f"--engine auto prefers {best.engine} {best.precision}, threads {best.threads}, for this bundle here")
    for cell in found.skipped:
        print(f"not measured: {cell.what}: {cell.reason}", file=sys.stderr)
