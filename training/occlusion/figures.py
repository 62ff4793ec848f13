"""What is committed of the study: figures and mean maps, nothing about a single image."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import BundleError, DatasetError
from cxr_edge.probability import Interval

__all__ = ["Effect", "EvidenceFigures", "OcclusionSummary", "RunFigures"]

FORMAT = 1
KIND = "occlusion summary"


@dataclass(frozen=True, slots=True)
class Effect:
    """What hiding a part in one way does to the models of a run.

    Attributes:
        part, way: what was hidden and how.
        share: of the network's input that the part covers, mean over images.
        auc: of the pictures with the part hidden, mean over the models.
        change: of the AUC, paired by patient.
        shift: mean absolute change of the uncalibrated probability.
        decisions: share of images whose uncalibrated probability crosses one half.
    """

    part: str
    way: str
    share: float
    auc: Interval
    change: Interval
    shift: Interval
    decisions: Interval


@dataclass(frozen=True, slots=True)
class EvidenceFigures:
    """Where the evidence of a run's models lies.

    Attributes:
        on_lungs: share of the evidence for the decision that lies on the lungs, mean over images.
        covered: share of the heatmap that the lungs cover: what evidence spread evenly would have.
        gain: the one minus the other, paired.
    """

    on_lungs: Interval
    covered: Interval
    gain: Interval


@dataclass(frozen=True, slots=True)
class RunFigures:
    """All figures of one run.

    Attributes:
        run: its name.
        variant: what its models are shown.
        members: names of the models on record.
        images: judged.
        without_lungs: images left out because no lungs were found.
        auc: of the pictures as they are, mean over the models.
        effects: by part and way, in the order of `PARTS` and `WAYS`.
        evidence: of all images, and by true class.
        maps: mean evidence in logits over the frame by true class, and mean lungs, ``[MAP_SIDE * MAP_SIDE]`` by rows.
    """

    run: str
    variant: str
    members: tuple[str, ...]
    images: int
    without_lungs: int
    auc: Interval
    effects: tuple[Effect, ...]
    evidence: dict[str, EvidenceFigures]
    maps: dict[str, tuple[float, ...]]

    def effect(self, part: str, way: str) -> Effect:
        """The effect of hiding one part in one way."""
        return next(effect for effect in self.effects if (effect.part, effect.way) == (part, way))


@dataclass(frozen=True, slots=True)
class OcclusionSummary:
    """The study in figures.

    Attributes:
        datasets: names of the data sets.
        labels_sha256: of the label file.
        release_fold: whose images no model judged, or None.
        versions: of what computed the record.
        runs: in the record's order.
    """

    datasets: tuple[str, ...]
    labels_sha256: str
    release_fold: str | None
    versions: dict[str, str]
    runs: tuple[RunFigures, ...]

    @classmethod
    def read(cls, path: Path) -> OcclusionSummary:
        """The summary in a file.

        Raises:
            DatasetError: no such file, or none that this version wrote.
        """
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            if (value.pop("kind", None), value.pop("format", None)) != (KIND, FORMAT):
                raise DatasetError(f"{path} is no summary of an occlusion study of format {FORMAT}")
            runs = tuple(_run(run) for run in value.pop("runs"))
            return cls(**{**value, "datasets": tuple(value["datasets"])}, runs=runs)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BundleError) as error:
            raise DatasetError(f"{path} cannot be read as a summary of an occlusion study: {error}") from error

    def write(self, path: Path) -> None:
        """Put the summary at a path in one step.

        Raises:
            OutputError: it cannot be written.
        """
        value = {"kind": KIND, "format": FORMAT, **asdict(self)}
        write_atomically(path, (json.dumps(value, allow_nan=False) + "\n").encode())


def _run(value: dict[str, Any]) -> RunFigures:
    """A run's figures of their JSON."""
    effects = tuple(Effect(**_intervals(effect)) for effect in value["effects"])
    evidence = {name: EvidenceFigures(**_intervals(figures)) for name, figures in value["evidence"].items()}
    maps = {name: tuple(values) for name, values in value["maps"].items()}
    plain = {**value, "members": tuple(value["members"]), "auc": Interval.from_json(value["auc"])}
    return RunFigures(**{**plain, "effects": effects, "evidence": evidence, "maps": maps})


def _intervals(value: dict[str, Any]) -> dict[str, Any]:
    return {name: Interval.from_json(part) if isinstance(part, dict) else part for name, part in value.items()}
