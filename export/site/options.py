"""What a fit for a site is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from calibration.site import DEFAULT_RULES, PointRule
from cxr_edge.bundle import Manifest
from cxr_edge.errors import UsageError

__all__ = ["SiteOptions", "site_name", "site_version"]

NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,31}")
MARK = "+site."
MAX_VERSION = 64
"""Longest version that a manifest may have, characters."""


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """What is fitted on what, and where it goes.

    Attributes:
        data: label file of the site's images.
        destination: folder of the new bundle.
        bundle: that the weights come from; None means the one that ships.
        where: filters on the label file.
        site: name of the site, which becomes part of the bundle's version; None takes the name of the folder that holds
            the label file.
        rules: operating points to fit, the default first.
        threads: of each engine; None means every usable core.
        allow_seen: fit although the bundle has seen some of the images; the new one is stamped and not released.
        force: write the bundle although its parity gate does not hold, marked as not released.
        replace: replace a bundle that is there.
    """

    data: Path
    destination: Path
    bundle: Path | None = None
    where: tuple[str, ...] = ()
    site: str | None = None
    rules: tuple[PointRule, ...] = DEFAULT_RULES
    threads: int | None = None
    allow_seen: bool = False
    force: bool = False
    replace: bool = False

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"operating points {', '.join(names) or '(none)'}: give at least one, none of them twice")


def site_name(options: SiteOptions) -> str:
    """The site's name, from the folder of the label file where none was given.

    Raises:
        UsageError: it cannot stand in a version.
    """
    name = options.data.absolute().parent.name if options.site is None else options.site
    if not NAME.fullmatch(name):
        raise UsageError(f"site {name[:80]!r}: give --site a name of up to 32 letters, digits and '-'")
    return name


def site_version(parent: Manifest, site: str) -> str:
    """The version of the site's bundle, such as ``"2+site.north-wing"``.

    Raises:
        UsageError: the parent is a site's bundle itself, or the version would be too long.
    """
    base, mark, _ = parent.version.partition(MARK)
    if mark:
        raise UsageError(
            f"bundle {parent.name!r} {parent.version} was itself fitted for a site; fit from the bundle that it was "
            f"made of, version {base}, so that only one fit stands behind every figure"
        )
    version = f"{base}{MARK}{site}"
    if len(version) > MAX_VERSION:
        raise UsageError(f"version {version!r} is longer than {MAX_VERSION} characters: give --site a shorter name")
    return version
