"""The record of a study: a JSON line for its header and one for each scheme, whole after every scheme."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cxr_edge.atomic import write_atomically
from cxr_edge.errors import DatasetError, UsageError
from export.study.figures import SchemeRecord, StudyHeader

__all__ = ["FORMAT", "StudyRecord"]

FORMAT = 1


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A header and the schemes measured so far, in the order in which they were."""

    header: StudyHeader
    schemes: tuple[SchemeRecord, ...] = ()

    @classmethod
    def read(cls, path: Path) -> StudyRecord:
        """The record in a file.

        Raises:
            DatasetError: no such file, or none that this version wrote.
        """
        try:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            header, *schemes = lines
            if header.get("format") != FORMAT:
                raise DatasetError(f"{path} is a study record of format {header.get('format')!r}, not {FORMAT}")
            return cls(StudyHeader.from_json(header), tuple(SchemeRecord.from_json(line) for line in schemes))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"{path} is no study record of this version ({type(error).__name__}: {error}); measure it again"
            ) from error

    @classmethod
    def resumed(cls, path: Path, header: StudyHeader) -> StudyRecord:
        """The record in a file to go on with, or an empty one where there is no file yet.

        Raises:
            UsageError: the file's study differs in model, images or versions; the message names what differs.
            DatasetError: the file is no study record.
        """
        if not path.exists():
            return cls(header)
        found = cls.read(path)
        before, now = found.header.to_json(), json.loads(json.dumps(header.to_json()))
        differing = [key for key in now if json.loads(json.dumps(before[key])) != now[key]]
        if differing:
            raise UsageError(
                f"{path} is the record of another study (other {', '.join(differing)}): give another file with -o"
            )
        return found

    def with_scheme(self, scheme: SchemeRecord) -> StudyRecord:
        """This record with one more line."""
        return StudyRecord(self.header, (*self.schemes, scheme))

    def measured(self, scheme: str) -> bool:
        """Whether a scheme is on record."""
        return any(line.scheme == scheme for line in self.schemes)

    def write(self, path: Path) -> None:
        """Put the record at a path in one step.

        Raises:
            OutputError: it cannot be written.
        """
        lines = [self.header.to_json(), *(scheme.to_json() for scheme in self.schemes)]
        write_atomically(path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode())
