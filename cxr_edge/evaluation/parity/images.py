"""The images that parity is measured on: label files, each with its own filter, read as one set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cxr_edge.data_use import (
    SEEN_STAMP,
    UNKNOWN_ORIGIN,
    UNKNOWN_ORIGIN_STAMP,
    DataUse,
    Footprint,
    assert_unseen,
    footprint,
)
from cxr_edge.errors import DatasetError, SeenDataError
from cxr_edge.labels import LabelFile, LabelledImage, read_labels

__all__ = ["ParityImages", "joined", "parity_images", "unseen_stamp"]

FILTER_SIGN = "@"


@dataclass(frozen=True, slots=True)
class ParityImages:
    """Images from one label file or several.

    Attributes:
        sources: the label files, each with the images chosen from it.
    """

    sources: tuple[LabelFile, ...]

    @property
    def images(self) -> tuple[LabelledImage, ...]:
        """Every image, in the order of the sources."""
        return tuple(image for source in self.sources for image in source.images)

    def footprint(self) -> Footprint:
        """Hashes of all images and patients; reads every image file.

        Raises:
            DatasetError: an image cannot be read.
        """
        union = Footprint(frozenset(), frozenset())
        for source in self.sources:
            union = union.union(footprint(source))
        return union


def parity_images(data: Sequence[str | Path], where: Sequence[str] = ()) -> ParityImages:
    """The images of label files; an image that an earlier file lists already is taken once.

    Args:
        data: paths of label files. A path may carry filters of its own behind ``@``, separated by commas, as in
            ``nih/labels.csv@split=val``: several files seldom share columns.
        where: filters that every file must satisfy.

    Raises:
        DatasetError: no files, or one that cannot be used.
        UsageError: a filter that cannot be read, names no column, or leaves nothing.
    """
    return joined([read_labels(path, (*where, *own)) for path, own in map(_split, data)])


def joined(sources: Iterable[LabelFile]) -> ParityImages:
    """Several label files as one set; an image that an earlier file lists already is taken once.

    Raises:
        DatasetError: no images.
    """
    kept: list[LabelFile] = []
    known: set[Path] = set()
    for source in sources:
        fresh = tuple(image for image in source.images if image.path.resolve() not in known)
        known |= {image.path.resolve() for image in fresh}
        if fresh:
            kept.append(replace(source, images=fresh))
    if not kept:
        raise DatasetError("parity needs at least one label file with images")
    return ParityImages(tuple(kept))


def unseen_stamp(images: ParityImages, data_use: DataUse, *, allow_seen: bool) -> str | None:
    """The caveat that every output of a measurement must carry, or None.

    Args:
        images: what is to be measured on.
        data_use: what the model has seen.
        allow_seen: go on although it has seen some of them.

    Raises:
        SeenDataError: it has, and that is not allowed.
        DatasetError: an image cannot be read.
    """
    try:
        assert_unseen(images.footprint(), data_use)
    except SeenDataError:
        if not allow_seen:
            raise
        return SEEN_STAMP
    return UNKNOWN_ORIGIN_STAMP if UNKNOWN_ORIGIN in data_use.roles else None


def _split(entry: str | Path) -> tuple[Path, tuple[str, ...]]:
    """Path and filters; a file whose name holds the sign is taken as it stands."""
    path, sign, filters = str(entry).rpartition(FILTER_SIGN)
    if not sign or isinstance(entry, Path) or Path(entry).exists():
        return Path(entry), ()
    return Path(path), tuple(part for part in filters.split(",") if part)
