"""``cxr-edge fit-site``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cxr_edge.atomic import write_atomically
from cxr_edge.cli.application import app, reported
from cxr_edge.cli.evaluate import prepare
from cxr_edge.cli.options import BundleOption, DebugOption, JsonOption, ThreadsOption, WhereOption
from cxr_edge.cli.progress import show_progress
from cxr_edge.cli.workstation import workstation_module
from cxr_edge.errors import BatchError


@app.command("fit-site")
@reported
def fit_site(
    data: Annotated[Path, typer.Option("--data", metavar="CSV", help="Label file of the site's images.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE", help="Bundle directory to write.")],
    bundle: BundleOption = None,
    where: WhereOption = None,
    site: Annotated[
        str | None,
        typer.Option("--site", metavar="NAME", help="Goes into the version; default: the label file's folder."),
    ] = None,
    operating_point: Annotated[
        list[str] | None,
        typer.Option(
            "--operating-point",
            metavar="RULE",
            help="youden, sensitivity=TARGET or specificity=TARGET; repeatable, the first is the default. "
            "Default: youden, sensitivity=0.95, specificity=0.95.",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Write figures and reliability pictures here.")
    ] = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Fit on seen images; the bundle is stamped and not released.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write it although parity fails, marked as not released.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a bundle that is there.")] = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Fit temperature and operating points on a site's own labelled images; the weights stay as they are.

    Writes a new bundle, versioned ``VERSION+site.NAME``, that holds the parent's evidence beside the site's. Figures
    after the fit are cross-fitted by patient. Exit code 11, and no bundle, when images were seen or parity breaks at
    the new temperature; 10 when images were left out. Needs the source checkout.

    Research use only: not for diagnosis.
    """
    sites = workstation_module("export.site")
    rules = workstation_module("calibration.site").PointRule
    chosen: dict[str, Any] = {}
    if operating_point:
        chosen["rules"] = tuple(rules.parse(text) for text in operating_point)
    options = sites.SiteOptions(
        data=data,
        destination=output,
        bundle=bundle,
        where=tuple(where or ()),
        site=site,
        threads=threads,
        allow_seen=allow_seen,
        force=force,
        replace=replace,
        **chosen,
    )
    if report is not None:
        prepare(report)
    fitted = sites.fit_site_bundle(
        options, on_step=lambda step: print(f"{step} ...", file=sys.stderr), on_image=show_progress
    )
    show(fitted, as_json=as_json)
    if report is not None:
        write_report(fitted, report)
    return BatchError.exit_code if fitted.measured.refused or fitted.measured.failed else 0


def show(fitted: Any, *, as_json: bool) -> None:
    """Print the figures and where the bundle is, and which images are not in it."""
    manifest = fitted.manifest
    if as_json:
        record = {"bundle": str(fitted.destination), "version": manifest.version, "released": manifest.released}
        print(json.dumps({**record, "unreleased": fitted.unreleased, **dict(manifest.evidence["site"])}))
    else:
        print(figures_text(fitted))
        print(f"\nbundle {manifest.name} {manifest.version} written to {fitted.destination}")
        for reason in fitted.unreleased:
            print(f"NOT RELEASED: {reason}")
    for what, images in (("refused", fitted.measured.refused), ("not read", fitted.measured.failed)):
        for name, reason in images:
            print(f"{what}: {name}: {reason}", file=sys.stderr)


def figures_text(fitted: Any) -> str:
    """The figures of the fit, then how the fast models compare."""
    from cxr_edge.evaluation.parity.text import parity_table

    text = str(workstation_module("export.site").site_text(fitted.fit, fitted.measured))
    if fitted.gate is None:
        return text
    rows = parity_table(fitted.gate.report)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([text, "", "parity at the new temperature and threshold, the parent's record included", *lines])


def write_report(fitted: Any, folder: Path) -> None:
    """Write the figures as text and the pictures, and say where."""
    write_atomically(folder / "figures.txt", (figures_text(fitted) + "\n").encode())
    pictures = workstation_module("export.site.pictures").write_pictures(fitted, folder)
    for path in (folder / "figures.txt", *pictures):
        print(f"wrote {path}", file=sys.stderr)
