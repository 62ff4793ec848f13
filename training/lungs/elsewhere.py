"""``python -m training.lungs.elsewhere``: a localiser on images without masks: share found, and a picture."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cxr_edge.atomic import write_atomically
from cxr_edge.cli.progress import show_progress
from cxr_edge.decode import decode
from cxr_edge.errors import CxrEdgeError, DatasetError
from cxr_edge.labels import read_labels
from cxr_edge.lungs import LungLocaliser
from cxr_edge.regions.thumbnail import thumbnail
from training.lungs.contours import Panel, draw_panels

__all__ = ["main"]

COLUMNS = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or that of the error."""
    options = parser().parse_args(arguments)
    try:
        print(look(options))
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def look(options: argparse.Namespace) -> str:
    """How many of the images have lungs that can be believed; writes the picture.

    Raises:
        DatasetError: the model or an image cannot be read.
        BundleError: the model is no localiser.
        OutputError: the picture cannot be written.
    """
    images = read_labels(options.data, options.where).images
    shown = set(np.linspace(0, len(images) - 1, min(options.count, len(images))).astype(int).tolist())
    panels, reasons = [], Counter[str]()
    with LungLocaliser.open(model_bytes(options.model)) as localiser:
        for number, image in enumerate(images):
            small = thumbnail(decode(image.path))
            lungs = localiser.locate(small)
            reasons[lungs.reason or "found"] += 1
            if number in shown or (options.missed and not lungs.found):
                panels.append(Panel(small, lungs, None, (lungs.reason or "found")[:34]))
            show_progress(number + 1, len(images))
    write_atomically(options.output, draw_panels(panels, COLUMNS))
    lines = [f"{count:6}  {reason}" for reason, count in reasons.most_common()]
    return "\n".join([f"found in {reasons['found']} of {len(images)} images; {options.output}", *lines])


def model_bytes(path: Path) -> bytes:
    """The bytes of an exported localiser.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}; give the lungs.onnx of a run") from error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser("python -m training.lungs.elsewhere", description=__doc__)
    add = command.add_argument
    add("--model", required=True, type=Path, metavar="LUNGS.onnx", help="exported localiser")
    add("--data", required=True, type=Path, metavar="CSV", help="label file")
    add("--where", action="append", default=[], metavar="COLUMN=VALUE", help="only these rows; may be given again")
    add("--output", "-o", required=True, type=Path, metavar="PICTURE.png", help="contact sheet to write")
    add("--count", type=int, default=40, metavar="N", help="images on the sheet, evenly spread (default 40)")
    add("--missed", action="store_true", help="show every image in which no lungs were found too")
    return command


if __name__ == "__main__":
    raise SystemExit(main())
