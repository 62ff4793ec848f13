"""The weights that cells start from: a published CheXNet, our own 14-label training, or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_edge.data_use import DataUse, Footprint, assert_unseen, image_sha256
from cxr_edge.errors import UsageError
from training.reproduce.cells import STARTS, StartName

__all__ = ["Start", "open_starts"]

OPTIONS: dict[str, str] = {"chexnet": "--chexnet", "nih14": "--nih14"}


@dataclass(frozen=True, slots=True)
class Start:
    """A starting point.

    Attributes:
        name: as cells call it.
        checkpoint: its file; None for random weights.
        sha256: of the file.
    """

    name: StartName
    checkpoint: Path | None = None
    sha256: str | None = None


def open_starts(
    wanted: Sequence[str] | None,
    chexnet: Path | None,
    nih14: Path | None,
    offered: Footprint,
    note: Callable[[str], None],
) -> dict[str, Start]:
    """The starting points by name.

    Args:
        wanted: names; None means those whose checkpoint was given, and random weights.
        chexnet: a published checkpoint, of any format of `training.checkpoints`.
        nih14: a checkpoint of ours, or the folder of a run that trained one model.
        offered: the study's images and patients, none of which a checkpoint may have seen.
        note: told of a checkpoint whose training data nobody can check.

    Raises:
        UsageError: a name that is unknown or whose checkpoint was not given, or a run of several models.
        DatasetError: a checkpoint that is not there.
        SeenDataError: a checkpoint of ours saw images or patients of the study.
    """
    given = {"chexnet": chexnet, "nih14": nih14}
    names = wanted or [*(name for name, path in given.items() if path is not None), "none"]
    starts: dict[str, Start] = {}
    for name in names:
        if name not in STARTS:
            raise UsageError(f"start {name!r} is unknown; choose from {', '.join(STARTS)}")
        if name == "none":
            starts[name] = Start("none")
            continue
        path = given[name]
        if path is None:
            raise UsageError(f"start {name!r} needs {OPTIONS[name]}: the checkpoint to start from")
        checkpoint = single_model(path)
        check_unseen(checkpoint, offered, note)
        starts[name] = Start(name, checkpoint, image_sha256(checkpoint))
    return starts


def single_model(path: Path) -> Path:
    """The checkpoint itself, or that of a run's only model.

    Raises:
        UsageError: the run has several models, each of which has seen other images, or none yet.
    """
    if not path.is_dir():
        return path
    model = path / "model" / "model.pt"
    if not model.is_file():
        raise UsageError(f"{path} has no finished model/model.pt; give a run of one model, or the checkpoint file")
    return model


def check_unseen(checkpoint: Path, offered: Footprint, note: Callable[[str], None]) -> None:
    """Refuse a checkpoint that is on record as having seen the study's images; say where there is no such record."""
    record = checkpoint.parent / "data_use.json"
    if record.is_file():
        assert_unseen(offered, DataUse.from_json(json.loads(record.read_text())))
    else:
        note(f"note: nothing is on record about what {checkpoint} has seen; make sure that it was not these images")
