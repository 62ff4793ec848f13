"""What a model has seen, and in which role: evidence may only come from images and patients that it has not.

The record holds truncated SHA-256 hashes of image files and of namespaced patient ids. An image copied under another
name is still recognised; a re-encoded copy is not, and is caught by its patient where the patient id is known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxr_edge.errors import BundleError, DatasetError, SeenDataError
from cxr_edge.labels import LabelFile

__all__ = [
    "SEEN_STAMP",
    "UNKNOWN_ORIGIN",
    "UNKNOWN_ORIGIN_STAMP",
    "DataUse",
    "Footprint",
    "Overlap",
    "assert_unseen",
    "footprint",
    "image_sha256",
    "overlaps",
    "patient_hash",
]

SEEN_STAMP = "seen in training: not evidence"
"""Stands on every figure, table and record made from images that the model has seen."""

UNKNOWN_ORIGIN = "unknown-origin"
"""Role, without hashes, of a model that began with a checkpoint of which nobody can say what it had seen."""

UNKNOWN_ORIGIN_STAMP = "started from a checkpoint whose training data are unknown: may have been seen"

HASH_DIGITS = 16
"""Hexadecimal digits kept: 64 bits, so that a chance match among a million images has a probability below 1e-7."""

CHUNK_BYTES = 1024 * 1024
HASH = re.compile(rf"[0-9a-f]{{{HASH_DIGITS}}}")
ROLE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Images and patients as hashes of 16 hexadecimal digits.

    Attributes:
        images: of file bytes.
        patients: of data set and patient id.
    """

    images: frozenset[str]
    patients: frozenset[str]

    def union(self, other: Footprint) -> Footprint:
        """Everything in either."""
        return Footprint(self.images | other.images, self.patients | other.patients)


@dataclass(frozen=True, slots=True)
class DataUse:
    """The data that a model has seen.

    Attributes:
        roles: footprint by role, for example ``"train"``, ``"temperature"``, ``"int8_ranges"``.
    """

    roles: Mapping[str, Footprint] = field(default_factory=dict)

    def with_role(self, role: str, seen: Footprint) -> DataUse:
        """This record with ``seen`` added to a role.

        Args:
            role: lower-case letters, digits, ``_`` and ``-``.
            seen: what was seen in that role.

        Raises:
            BundleError: a role of another form.
        """
        _check_role(role)
        before = self.roles.get(role)
        return DataUse({**self.roles, role: seen if before is None else before.union(seen)})

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping that `from_json` reads back to an equal record; the same record gives the same text."""
        return {
            "roles": {
                role: {"images": sorted(seen.images), "patients": sorted(seen.patients)}
                for role, seen in sorted(self.roles.items())
            }
        }

    @classmethod
    def from_json(cls, value: object) -> DataUse:
        """The record that `to_json` wrote.

        Raises:
            BundleError: unknown or missing keys, or hashes of another form. An unreadable record is refused because
                ignoring it would let seen images pass as evidence.
        """
        roles = _mapping(value, "data_use", {"roles"})["roles"]
        if not isinstance(roles, dict):
            raise BundleError("data_use: 'roles' is not a JSON object")
        read = {}
        for role, part in roles.items():
            _check_role(role)
            part = _mapping(part, f"data_use role {role!r}", {"images", "patients"})
            read[role] = Footprint(_hashes(part["images"], role), _hashes(part["patients"], role))
        return cls(read)


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a label file shares with one role.

    Attributes:
        role: of the model's record.
        images: how many images of the label file it has seen.
        patients: how many patients of the label file it has seen, those of other images included.
    """

    role: str
    images: int
    patients: int


def footprint(label_file: LabelFile) -> Footprint:
    """Images and patients of a label file; reads every image file.

    Raises:
        DatasetError: an image cannot be read.
    """
    return Footprint(
        images=frozenset(image_sha256(image.path)[:HASH_DIGITS] for image in label_file.images),
        patients=frozenset(patient_hash(*image.patient) for image in label_file.images),
    )


def image_sha256(path: Path) -> str:
    """SHA-256 of the file's bytes, 64 hexadecimal digits: a copy under another name has the same hash.

    Raises:
        DatasetError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise DatasetError(f"cannot read image {path}: {error.strerror}") from error
    return digest.hexdigest()


def patient_hash(dataset: str, patient_id: str) -> str:
    """16 hexadecimal digits that stand for one patient of one data set.

    A pseudonym, not a secret: the ids of public data sets are small numbers, which anybody can hash in turn.

    Args:
        dataset: namespace of the id; patient 61 of one hospital is not patient 61 of another.
        patient_id: as in the label file.
    """
    # A folder name that is not UTF-8 comes from the operating system with surrogates in it.
    name = f"patient:{dataset}\0{patient_id}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(name).hexdigest()[:HASH_DIGITS]


def overlaps(offered: Footprint, data_use: DataUse) -> tuple[Overlap, ...]:
    """The roles that share an image or a patient with what is offered, sorted by role."""
    found = (
        Overlap(role, len(offered.images & seen.images), len(offered.patients & seen.patients))
        for role, seen in sorted(data_use.roles.items())
    )
    return tuple(overlap for overlap in found if overlap.images or overlap.patients)


def assert_unseen(offered: Footprint, data_use: DataUse) -> None:
    """Return when nothing offered was seen in any role.

    Raises:
        SeenDataError: images or patients were seen; the message counts them by role.
    """
    found = overlaps(offered, data_use)
    if found:
        parts = (f"{overlap.role}: {overlap.images} images, {overlap.patients} patients" for overlap in found)
        raise SeenDataError(
            f"the model has seen part of these data ({'; '.join(parts)}), so figures from them are no evidence; "
            "choose other images (--where), or pass --allow-seen to get figures that say so"
        )


def _check_role(role: object) -> None:
    if not isinstance(role, str) or not ROLE.fullmatch(role):
        raise BundleError(f"data_use role {role!r} is not lower-case letters, digits, '_' and '-'")


def _mapping(value: object, what: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        raise BundleError(f"{what} is not a JSON object with the keys {', '.join(sorted(keys))}")
    return value


def _hashes(value: object, role: str) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) and HASH.fullmatch(item) for item in value):
        raise BundleError(f"data_use role {role!r} holds something else than lists of {HASH_DIGITS}-digit hashes")
    return frozenset(value)
