"""``python -m benchmarks.reduced_decoding --data CSV...``: the parity study of decoding at reduced resolution."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reduced_decoding.study import compare
from cxr_edge import __version__
from cxr_edge.classifier import Classifier
from cxr_edge.decode import decode
from cxr_edge.errors import CxrEdgeError
from cxr_edge.labels import read_labels

DESCRIPTION = """
Encodes real radiographs as JPEG 2000 and JPEG, decodes them in full and at 1/2, 1/4 and 1/8 of their size, and prints
by how much the probabilities differ. Nothing is fitted.
"""


def main() -> int:
    """Compare and print; the exit code is the library's."""
    options = parser().parse_args()
    try:
        images = [image.path for data in options.data for image in read_labels(data, options.where).images]
        chosen = [images[i] for i in np.linspace(0, len(images) - 1, min(options.images, len(images))).astype(int)]
        run(chosen, options)
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("python -m benchmarks.reduced_decoding", description=DESCRIPTION)
    made.add_argument("--data", type=Path, nargs="+", required=True, metavar="CSV", help="label files")
    made.add_argument("--where", action="append", default=[], metavar="COLUMN=VALUE", help="only such rows; repeatable")
    made.add_argument("--images", type=int, default=50, help="how many of them, evenly spread")
    made.add_argument("--sides", type=int, nargs="+", default=[2048], help="sides of the frames, multiples of 8")
    made.add_argument("--precisions", nargs="+", default=["fp32", "int8"], help="of the bundle")
    made.add_argument("--bundle", type=Path, help="bundle to use; default: the one that ships")
    made.add_argument("-o", "--output", type=Path, required=True, metavar="RECORD", help="record to add to")
    return made


def run(paths: list[Path], options: argparse.Namespace) -> None:
    """Classify every image in every form, and print the table of all that the record then holds.

    Raises:
        CxrEdgeError: the bundle or an image cannot be used.
    """
    with ExitStack() as opened, options.output.open("a") as record:
        classifiers = {
            precision: opened.enter_context(Classifier.open(options.bundle, precision=precision))
            for precision in options.precisions
        }
        identity = {"bundle": next(iter(classifiers.values())).bundle.sha256, "version": __version__}
        for path in paths:
            pixels = decode(path).pixels
            for side in options.sides:
                for one in compare(classifiers, pixels, side):
                    print(json.dumps(asdict(one) | identity), file=record, flush=True)
    print_table(options.output)


def print_table(record: Path) -> None:
    """One row for each precision, codec, frame and reduction in a record."""
    found: dict[tuple[str, str, int, int], list[dict[str, Any]]] = defaultdict(list)
    for line in record.read_text().splitlines():
        one = json.loads(line)
        found[one["codec"], one["precision"], one["side"], one["reduction"]].append(one)
    print("| codec | precision | frame | reduced to | images | max \\|Δp\\| | p99 \\|Δp\\| | flips |")
    print("|---|---|---|---|---|---|---|---|")
    for (codec, precision, side, reduction), ones in sorted(found.items()):
        shifts = [abs(one["full"] - one["reduced"]) for one in ones if None not in (one["full"], one["reduced"])]
        flips = sum(one["flipped"] for one in ones)
        largest, tail = np.max(shifts, initial=0.0), np.quantile(shifts or [0.0], 0.99)
        print(
            f"| {codec} | {precision} | {side} | 1/{reduction} ({side // reduction}) | {len(shifts)} "
            f"| {largest:.4f} | {tail:.4f} | {flips} |"
        )


if __name__ == "__main__":
    sys.exit(main())
