"""``python -m export.study``: measure every scheme and put it on record."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from calibration.ranges.images import DEFAULT_COUNT
from cxr_edge.errors import CxrEdgeError
from export.study.running import StudyOptions, run_study
from export.study.schemes import IMAGE_COUNTS, chosen_schemes, schemes

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or that of the error that ended the study; what was measured by then is on record."""
    options = parser().parse_args(arguments)
    try:
        chosen = chosen_schemes(schemes(options.range_images, options.image_counts), options.scheme)
        if options.list:
            print("\n".join(f"{scheme.name:22} {scheme.title}" for scheme in chosen))
            return 0
        run_study(
            StudyOptions(
                options.source,
                options.ranges_data,
                tuple(options.parity_data),
                options.output,
                limit=options.limit,
                openvino=not options.no_openvino,
                threads=options.threads,
            ),
            chosen,
            lambda step: print(step, flush=True),
        )
    except CxrEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser("python -m export.study", description=__doc__)
    add = command.add_argument
    add("source", type=Path, metavar="BUNDLE_OR_RUN", help="model to quantise")
    add("--ranges-data", required=True, metavar="CSV[@FILTERS]", help="label file to choose range images from")
    add(
        "--parity-data",
        required=True,
        action="append",
        metavar="CSV[@FILTERS]",
        help="label file of unseen images, as in nih/labels.csv@split=val; may be given several times",
    )
    add("--output", "-o", required=True, type=Path, metavar="RECORD.jsonl", help="record to write or go on with")
    add(
        "--scheme",
        action="append",
        default=[],
        metavar="NAME",
        help="measure only this one; may be given several times",
    )
    add("--list", action="store_true", help="list the schemes and stop")
    add("--range-images", type=int, default=DEFAULT_COUNT, metavar="N", help="range images of the schemes")
    add("--image-counts", type=counts, default=IMAGE_COUNTS, metavar="N,N", help="numbers of range images to study")
    add("--limit", type=int, metavar="N", help="only the first N images of each parity label file, for a quick look")
    add("--no-openvino", action="store_true", help="measure on ONNX Runtime alone")
    add("--threads", type=int, default=0, metavar="N", help="CPU threads; 0 leaves the choice to the runtime")
    return command


def counts(text: str) -> tuple[int, ...]:
    """Numbers separated by commas."""
    return tuple(int(part) for part in text.split(",") if part)


if __name__ == "__main__":
    raise SystemExit(main())
