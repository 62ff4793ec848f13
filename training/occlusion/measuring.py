"""One model's answers to the images of its fold, as they are and with each part hidden."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import cxr_edge
from cxr_edge.data_use import image_sha256
from cxr_edge.decode import decode
from cxr_edge.errors import DatasetError
from cxr_edge.evidence_share import lung_shares, share_on_lungs
from cxr_edge.heatmap import Heatmap, evidence_over
from cxr_edge.labels import LabelledImage
from cxr_edge.preprocess.spec import PreprocessSpec
from cxr_edge.regions import Region, locate, region_input
from cxr_edge.regions.cells import GRID
from cxr_edge.regions.network_input import mask_of_input
from cxr_edge.regions.thumbnail import thumbnail
from training.checkpoints import load_checkpoint
from training.localisers import Localisers
from training.model import CheXNet
from training.occlusion.hiding import WAYS, hidden
from training.occlusion.parts import PARTS, parts_of
from training.occlusion.record import MAP_SIDE, OcclusionRecord
from training.run import Run

__all__ = ["ImageAnswers", "Judge", "member_record"]

DIGITS = 4
"""Decimals on record: one more than the page shows."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageAnswers:
    """What a model says of one image.

    Attributes:
        logit: of the image as it is.
        hidden: logits by ``"part/way"``.
        shares: share of the network's input that each part covers.
        heatmap: of the image as it is, neutral at 0.
        lungs: ``[128, 128]`` where the lungs are.
    """

    logit: float
    hidden: dict[str, float]
    shares: dict[str, float]
    heatmap: Heatmap
    lungs: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judge:
    """A trained model with what it must be shown.

    Attributes:
        network: in evaluation mode.
        spec: its preprocessing.
        lungs: localisers that find the parts, and the model's region where its variant wants the lungs.
    """

    network: CheXNet
    spec: PreprocessSpec
    lungs: Localisers

    @classmethod
    def of(cls, run: Run, member: str, lungs: Localisers) -> Judge:
        """A member of a run.

        Raises:
            DatasetError: its weights cannot be read.
        """
        loaded = load_checkpoint(run.model_path(member), outputs=1)
        return cls(loaded.model.eval(), run.config.preprocess, lungs)

    def answers(self, image: LabelledImage) -> ImageAnswers | None:
        """What the model says of an image; None where no lungs are found.

        Raises:
            CxrEdgeError: the image cannot be read.
        """
        radiograph = decode(image.path)
        localiser = self.lungs.of(image)
        assert localiser is not None  # the localisers were opened for these images
        found = localiser.locate(thumbnail(radiograph))
        if not found.found:
            return None
        region: Region = locate(radiograph, self.spec, localiser)
        picture = region_input(radiograph, self.spec, region)
        parts = {
            name: mask_of_input(mask, region.box, radiograph, self.spec) for name, mask in parts_of(found.mask).items()
        }
        pictures = [hidden(picture, part, way, self.spec) for part in parts.values() for way in WAYS]
        logits, cam = self.judged(np.stack([picture, *pictures]))
        names = [f"{part}/{way}" for part in parts for way in WAYS]
        return ImageAnswers(
            logit=float(logits[0]),
            hidden=dict(zip(names, logits[1:].tolist(), strict=True)),
            shares={name: float(part.mean()) for name, part in parts.items()},
            heatmap=Heatmap(radiograph, cam, region.box),
            lungs=found.mask,
        )

    def judged(self, pictures: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits ``[N]`` of inputs ``[N, H, W]``, and the first one's class-activation map ``[h, w]``."""
        with torch.inference_mode():
            batch = torch.from_numpy(pictures[:, None]).contiguous(memory_format=torch.channels_last)
            logit, cam = self.network(batch)
        return logit[:, 0].float().numpy(), cam[0, 0].float().numpy()


def member_record(
    run: Run,
    member: str,
    judge: Judge,
    images: Sequence[LabelledImage],
    numbers: Sequence[int],
    on_image: Callable[[], None],
) -> OcclusionRecord:
    """What a member of a run says of the images of its fold.

    Args:
        run: it belongs to.
        member: its name.
        judge: the member, opened.
        images: that it did not see.
        numbers: theirs in the record.
        on_image: called after every image.

    Raises:
        CxrEdgeError: an image cannot be read.
        DatasetError: lungs are found in none of the images.
    """
    answers: dict[int, ImageAnswers] = {}
    for number, image in zip(numbers, images, strict=True):
        answer = judge.answers(image)
        if answer is not None:
            answers[number] = answer
        on_image()
    if not answers:
        raise DatasetError(
            f"lungs are found in none of the {len(images)} images that {run.directory.name}/{member} did not see; "
            "give the localisers that were trained on this data set"
        )
    abnormal = {number: image.label == 1 for number, image in zip(numbers, images, strict=True)}
    of_class = {
        "normal": [answer for number, answer in answers.items() if not abnormal[number]],
        "abnormal": [answer for number, answer in answers.items() if abnormal[number]],
    }
    everyone = list(answers.values())
    evidence = [share_on_lungs(one.heatmap, one.lungs) for one in everyone]
    return OcclusionRecord(
        run=run.directory.name,
        member=member,
        model_sha256=image_sha256(run.model_path(member)),
        variant=judge.spec.variant,
        images=tuple(answers),
        without_lungs=len(images) - len(answers),
        logits=rounded([one.logit for one in everyone]),
        hidden={f"{p}/{w}": rounded([one.hidden[f"{p}/{w}"] for one in everyone]) for p in PARTS for w in WAYS},
        shares={part: round(float(np.mean([one.shares[part] for one in everyone])), DIGITS) for part in PARTS},
        evidence=tuple(None if share is None else round(share, DIGITS) for share in evidence),
        covered=rounded([float(lung_shares(one.heatmap, one.lungs).mean()) for one in everyone]),
        maps={name: mean_map([evidence_map(one) for one in chosen]) for name, chosen in of_class.items()},
        lungs=mean_map([coarse_lungs(one.lungs) for one in everyone]),
        versions={"cxr_edge": cxr_edge.__version__, "torch": torch.__version__, "python": platform.python_version()},
    )


def evidence_map(answer: ImageAnswers) -> NDArray[np.float32]:
    """The heatmap over the whole frame, ``[MAP_SIDE, MAP_SIDE]`` logits; 0 where the network saw nothing."""
    found: NDArray[np.float32] = evidence_over(answer.heatmap, MAP_SIDE, MAP_SIDE)
    return found


def coarse_lungs(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Whether the middle of each cell of the map is lung, 1 or 0."""
    nearest = (2 * np.arange(MAP_SIDE) + 1) * GRID // (2 * MAP_SIDE)
    return mask[np.ix_(nearest, nearest)].astype(np.float32)


def mean_map(maps: Sequence[NDArray[np.float32]]) -> tuple[float, ...]:
    """Mean of maps by rows; empty where there are none."""
    return rounded(np.mean(maps, axis=0).ravel().tolist()) if maps else ()


def rounded(values: Sequence[float]) -> tuple[float, ...]:
    """The values as they go on record."""
    return tuple(round(float(value), DIGITS) for value in values)
