"""The two tuberculosis sets of the U.S. National Library of Medicine: Shenzhen and Montgomery (Jaeger et al. 2014).

``CXR_png/CHNCXR_0001_0.png``: set, patient, and the label as the last digit. ``ClinicalReadings/`` has a text file of
the same name for each image. Lung masks come separately: Shenzhen's (Stirenko et al. 2018) as one file an image,
Montgomery's as one file a lung.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cxr_edge.errors import DatasetError
from training.index.folder import listed, read_text, why_unusable
from training.index.readings import Reading, parse_reading
from training.index.records import Collection, IndexedImage, Skipped, abbreviated

__all__ = ["collect_nlm"]

PREFIXES = {"shenzhen": "CHNCXR", "montgomery": "MCUCXR"}
MASK_FOLDERS = ("mask", "masks")
LUNG_FOLDERS = ("ManualMask/leftMask", "ManualMask/rightMask")


def collect_nlm(root: Path, kind: Literal["shenzhen", "montgomery"]) -> Collection:
    """The images of a release, sorted by name, with label, mask and reading.

    A missing or unreadable part of a reading is left blank; an image without a label in its name, an empty file, and a
    reading without its image are skipped.

    Args:
        root: the folder that holds ``CXR_png``.
        kind: which of the two sets.

    Raises:
        DatasetError: a folder cannot be read, or holds no usable image.
    """
    prefix = PREFIXES[kind]
    readings = {path.stem: path for path in listed(root / "ClinicalReadings", f"{prefix}_*.txt")}
    masks = _combined_masks(root)
    images: list[IndexedImage] = []
    skipped: list[Skipped] = []
    files = listed(root / "CXR_png", f"{prefix}_*.png")
    for path in files:
        name = re.fullmatch(rf"({prefix}_\d+)_([01])", path.stem)
        if name is None:
            skipped.append(Skipped(path.name, f"the name is not {prefix}_<number>_<0 or 1>.png: label unknown"))
        elif reason := why_unusable(path):
            skipped.append(Skipped(path.name, reason))
        else:
            images.append(_image(path, int(name[2]), name[1], masks.get(path.stem), readings.get(path.stem)))
    missing = sorted(readings.keys() - {path.stem for path in files})
    skipped += [Skipped(f"{stem}.png", "has a clinical reading, but the image is missing") for stem in missing]
    if not images:
        raise DatasetError(f"{root / 'CXR_png'} holds no usable image; {len(skipped)} were skipped")
    return Collection(tuple(images), tuple(skipped), _warnings(images, frozenset(readings), root))


def _image(path: Path, label: int, patient_id: str, mask: Path | None, reading_file: Path | None) -> IndexedImage:
    """The row of one image, blanks where there is no reading."""
    reading = parse_reading(read_text(reading_file)) if reading_file else Reading()
    return IndexedImage(
        image=path,
        label=label,
        patient_id=patient_id,
        mask=mask,
        sex=reading.sex,
        age=reading.age,
        findings=reading.findings,
    )


def _combined_masks(root: Path) -> dict[str, Path]:
    """Masks that hold both lungs, by the image's stem."""
    return {path.stem.removesuffix("_mask"): path for name in MASK_FOLDERS for path in listed(root / name, "*.png")}


def _warnings(images: Sequence[IndexedImage], readings: frozenset[str], root: Path) -> tuple[str, ...]:
    """What is blank or contradictory in the rows."""
    read = [image for image in images if image.image.stem in readings]
    cases = (
        ("no clinical reading; sex, age and findings are blank", [i for i in images if i.image.stem not in readings]),
        ("a reading without a recognisable sex", [i for i in read if not i.sex]),
        ("a reading without a usable age", [i for i in read if i.age is None]),
        ("a reading that contradicts the label in the name; the name decides", _contradictions(read)),
    )
    warnings = [
        f"{len(affected)} images have {text}: {abbreviated([i.image.stem for i in affected])}"
        for text, affected in cases
        if affected
    ]
    if any((root / folder).is_dir() for folder in LUNG_FOLDERS) and not any(image.mask for image in images):
        warnings.append(
            "ManualMask has one file a lung, the mask column holds one file for both and is left out; "
            "combined masks in a folder named mask beside CXR_png would be indexed"
        )
    return tuple(warnings)


def _contradictions(images: Sequence[IndexedImage]) -> list[IndexedImage]:
    """Images whose reading says normal where the label says abnormal, or the other way round."""
    return [i for i in images if i.findings and (i.findings.lower().rstrip(" .") == "normal") != (i.label == 0)]
