"""Sex, age and findings from the text files and columns that come with the releases."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Reading", "age_in_years", "parse_reading", "sex_code"]

OLDEST = 120
"""Ages above are slips of the pen: the first ChestX-ray14 release has patients of 411 years."""

UNITS_A_YEAR = {"": 1, "y": 1, "m": 12, "w": 52, "d": 365}
AGE = re.compile(r"\s*(\d{1,4})\s*([ymwd]?)[a-z]*\.?\s*", re.IGNORECASE)

SHENZHEN_PERSON = re.compile(
    r"(?P<sex>female?|male|[fm])(?![a-z])[\s,;]*(?P<age>\d{1,4}\s*(?:(?:y|mo|w|d)[a-z]*)?)?[\s.,;]*", re.IGNORECASE
)
"""First line of a Shenzhen reading: ``male 45yrs``, ``Female, 28 yrs``, ``femal 32yrs``, ``male 16month``."""

MONTGOMERY_ATTRIBUTE = re.compile(r"patient'?s\s+(?P<name>sex|age)\s*:\s*(?P<value>.*)", re.IGNORECASE)
"""``Patient's Sex: F`` and ``Patient's Age: 027Y``, a line each."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A clinical reading: sex ``"M"``, ``"F"`` or blank, age in whole years or None, findings on one line."""

    sex: str = ""
    age: int | None = None
    findings: str = ""


def parse_reading(text: str) -> Reading:
    """Sex, age and findings of a ``ClinicalReadings/*.txt`` file of either NLM set.

    What cannot be recognised as sex or age is kept as findings, so nothing that a radiologist wrote is lost.

    Args:
        text: the file's contents.
    """
    sex, age = "", None
    findings: list[str] = []
    for line in filter(None, (raw.strip() for raw in text.splitlines())):
        attribute = MONTGOMERY_ATTRIBUTE.fullmatch(line)
        if attribute and attribute["name"].lower() == "sex":
            sex = sex_code(attribute["value"])
        elif attribute:
            age = age_in_years(attribute["value"])
        elif not (sex or findings) and (person := SHENZHEN_PERSON.match(line)):
            sex, age = sex_code(person["sex"]), age_in_years(person["age"] or "")
            findings.append(line[person.end() :])
        else:
            findings.append(line)
    return Reading(sex, age, " ".join(" ".join(findings).split()))


def sex_code(text: str) -> str:
    """``"M"``, ``"F"``, or blank for anything else; only the first letter counts, whatever its case."""
    first = text.strip()[:1].upper()
    return first if first in ("M", "F") else ""


def age_in_years(text: str) -> int | None:
    """Completed years from ``"58"``, ``"058Y"``, ``"45yrs"``, ``"16month"``, ``"5M"`` or ``"64days"``.

    None for blank or unreadable text and for ages above 120 years.
    """
    match = AGE.fullmatch(text)
    if match is None:
        return None
    years = int(match[1]) // UNITS_A_YEAR[match[2].lower()]
    return years if years <= OLDEST else None
