"""The evaluation of a finished run: every localiser on the fold that it never saw, through the device's own code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr_edge.atomic import write_atomically
from cxr_edge.lungs import LungLocaliser, Lungs
from training.lungs.conditions import WITH_LUNGS, WITHOUT_LUNGS, Condition
from training.lungs.contours import Panel, draw_panels
from training.lungs.examples import LungExamples
from training.lungs.run import model_path
from training.lungs.scores import LungScore, mean_interval, score
from training.splits import Member

__all__ = ["write_report"]

SCHEMA = 1
SHOWN = 6
"""Pictures of the best, of the middle and of the worst overlaps in ``contours.png``."""

SEED = 0
"""Of the pictures that a condition draws at random."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One image with what the localiser of its fold found: ``place`` counts the run's examples from 0."""

    place: int
    fold: str
    lungs: Lungs
    score: LungScore


def write_report(directory: Path, members: Sequence[Member], examples: LungExamples) -> str:
    """Write ``evaluation.json`` and ``contours.png`` into the run's folder and return the figures as text.

    Args:
        directory: of the run; every member has its ``lungs.onnx``.
        members: whose held-out images together are all examples.
        examples: of the run.

    Raises:
        BundleError: an exported file that cannot be opened.
        OutputError: the folder cannot be written.
    """
    held_out: list[HeldOut] = []
    found: dict[str, list[LungScore]] = {name: [] for name in WITH_LUNGS}
    believed: dict[str, list[bool]] = {name: [] for name in WITHOUT_LUNGS}
    files = {}
    for member in members:
        data = model_path(directory, member.name).read_bytes()
        files[member.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        with LungLocaliser.open(data) as localiser:
            held_out += on_held_out(localiser, member, examples)
            for name, condition in WITH_LUNGS.items():
                found[name] += [score(lungs, true) for lungs, true in under(condition, localiser, member, examples)]
            for name, condition in WITHOUT_LUNGS.items():
                believed[name] += [lungs.found for lungs, _ in under(condition, localiser, member, examples)]
    evaluation = figures(held_out, found, believed, files, examples)
    write_atomically(directory / "evaluation.json", (json.dumps(evaluation, indent=1) + "\n").encode())
    write_atomically(directory / "contours.png", draw_panels(panels(held_out, examples), columns=SHOWN))
    return text(evaluation)


def places_of(member: Member, examples: LungExamples) -> list[int]:
    """Where a member's held-out images stand among the examples."""
    held_out = {image.path for image in member.held_out}
    return [place for place, image in enumerate(examples.images) if image.path in held_out]


def on_held_out(localiser: LungLocaliser, member: Member, examples: LungExamples) -> list[HeldOut]:
    """What a member's localiser finds on the images that it never saw."""
    rows = []
    for place in places_of(member, examples):
        lungs = localiser.locate(examples.thumbnails[place])
        rows.append(HeldOut(place, str(member.fold), lungs, score(lungs, examples.shares[place] >= 0.5)))
    return rows


def under(
    condition: Condition, localiser: LungLocaliser, member: Member, examples: LungExamples
) -> list[tuple[Lungs, Any]]:
    """What is found under a condition, with the true mask, for every held-out image of which it can be made."""
    rows = []
    for place in places_of(member, examples):
        random = np.random.default_rng((SEED, place))
        changed = condition(examples.thumbnails[place], examples.shares[place], random)
        if changed is not None:
            rows.append((localiser.locate(np.ascontiguousarray(changed[0])), changed[1] >= 0.5))
    return rows


def figures(
    held_out: Sequence[HeldOut],
    found: Mapping[str, Sequence[LungScore]],
    believed: Mapping[str, Sequence[bool]],
    files: Mapping[str, Any],
    examples: LungExamples,
) -> dict[str, Any]:
    """What ``evaluation.json`` holds."""
    folds = sorted({row.fold for row in held_out})
    return {
        "schema": SCHEMA,
        "what": "each image by the localiser that never saw its fold; overlaps on the 128x128 grid; not found counts 0",
        "examples_sha256": examples.sha256,
        **overlaps([row.score for row in held_out]),
        "folds": {fold: overlaps([row.score for row in held_out if row.fold == fold]) for fold in folds},
        "conditions_with_lungs": {name: overlaps(scores) for name, scores in found.items()},
        "conditions_without_lungs": {
            name: {"images": len(flags), "found": sum(flags)} for name, flags in believed.items()
        },
        "files": dict(files),
        "per_image": [
            {
                "file": examples.images[row.place].columns["file"],
                "fold": row.fold,
                **asdict(row.score),
                "reason": row.lungs.reason,
            }
            for row in sorted(held_out, key=lambda row: row.score.dice)
        ],
    }


def overlaps(scores: Sequence[LungScore]) -> dict[str, Any]:
    """Counts, and each overlap's mean with its interval."""
    return {
        "images": len(scores),
        "found": sum(row.found for row in scores),
        "dice": asdict(mean_interval([row.dice for row in scores])),
        "box_iou": asdict(mean_interval([row.box_iou for row in scores])),
        "snapped_box_iou": asdict(mean_interval([row.snapped_iou for row in scores])),
    }


def panels(held_out: Sequence[HeldOut], examples: LungExamples) -> list[Panel]:
    """The best, the middle and the worst overlaps, a row each."""
    ordered = sorted(held_out, key=lambda row: -row.score.dice)
    middle = max((len(ordered) - SHOWN) // 2, 0)
    chosen = [*ordered[:SHOWN], *ordered[middle : middle + SHOWN], *ordered[-SHOWN:]]
    return [
        Panel(
            examples.thumbnails[row.place],
            row.lungs,
            examples.shares[row.place] >= 0.5,
            f"Dice {row.score.dice:.3f}, box {row.score.box_iou:.3f}",
        )
        for row in chosen
    ]


def text(evaluation: Mapping[str, Any]) -> str:
    """The figures for a terminal."""
    lines = [f"{evaluation['images']} images, each by the localiser that never saw its fold"]
    for name, part in (("all", evaluation), *evaluation["conditions_with_lungs"].items()):
        values = "  ".join(
            f"{title} {part[key]['mean']:.4f} [{part[key]['low']:.4f}, {part[key]['high']:.4f}]"
            for title, key in (("Dice", "dice"), ("box IoU", "box_iou"), ("snapped", "snapped_box_iou"))
        )
        lines.append(f"{name:36} found {part['found']}/{part['images']}  {values}")
    for name, part in evaluation["conditions_without_lungs"].items():
        lines.append(f"{name:36} found {part['found']}/{part['images']} (none is right)")
    return "\n".join(lines)
